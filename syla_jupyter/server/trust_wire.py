"""What travels about which outputs somebody trusts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .trust import DIGEST
from .wire import Wire

DIGESTS_MAX = 1000
Digest = Annotated[str, Field(pattern=f"^{DIGEST.pattern}$", description="SHA-256 of outputs as canonical JSON.")]


class Outputs(Wire):
    digests: list[Digest] = Field(max_length=DIGESTS_MAX)


class KnownOutputs(Wire):
    digests: list[Digest]
