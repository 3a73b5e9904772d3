"""What travels about usage: what is held, and how much there is of it; `wire` has what is common."""

from __future__ import annotations

from pydantic import Field

from .wire import Bytes, Wire


class Held(Wire):
    """By workspaces that run or are frozen: the sums of their limits."""

    workspaces: int
    cpus: float
    memory_bytes: Bytes


class Offered(Wire):
    """What the limits of all workspaces that run or are frozen may add up to."""

    cpus: float
    memory_bytes: Bytes


class QuotasShown(Wire):
    """How much may run or be frozen at once; null: as much as is offered."""

    workspaces_per_user: int | None
    cpus_per_user: float | None
    memory_bytes_per_user: Bytes | None
    workspaces_per_server: int | None


class Used(Wire):
    """By the container of one workspace, as the host sees it."""

    id: str
    cpu_seconds: float = Field(description="Since its container's start; what it takes now is the difference of two.")
    memory_bytes: Bytes


class Usage(Wire):
    mine: Held
    everybody: Held
    running: list[Used] = Field(description="Those that this server holds and you may read: what each uses.")
    offered: Offered
    quotas: QuotasShown
