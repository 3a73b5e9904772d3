"""A container's run directory on the host: sockets, and who may touch which name.

    <run>/<8 hex>/          0700, ours
        c/                  `/run/syla` inside: the container's user writes here, nothing in it is trusted
        h/agent             host only: a hard link to the agent's socket that was checked to be a socket
        h/container         host only: {id, name} of the container
        h/kernel-<slot>     host only: {process, key} of a kernel, for processes that come later
        h/seen-<slot>       host only: how far a kernel's clients have got
        h/frozen            host only: there while the container is frozen
        owner               which process uses the container, unless a workspace record has it
    <run>/k/<8 hex>-1 … -5  host only: the same for a kernel's sockets

Clients connect to names in `h/` and `k/`. A name in `c/` can be exchanged for a symbolic link at any time; a hard link
is made of the thing itself, without following, and looked at afterwards where the container cannot reach it. A
kernel's names in `k/` stay the same for its whole life: after a restart they link to the new kernel's sockets, be it in
another container, and ZMQ clients reconnect.

As root, `/run/syla` is a small file system of its own: what containers put into their `c/` cannot fill the host's
`/run`.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ..model.errors import StartFailed
from ..model.runtime import User
from .removal import remove_tree

SOCKET_COUNT = 5
KERNELS = "k"
SLOT_LENGTH = 8
RUN_BYTES = 64 << 20
RUN_FILES = 32768  # some hundred kernels have 12 each


@dataclass(frozen=True)
class RunDir:
    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def container_side(self) -> Path:
        return self.path / "c"

    @property
    def agent_socket(self) -> Path:
        return self.path / "h" / "agent"

    def client_prefix(self, slot: str) -> Path:
        """`<this>-1` … `-5` are what a client of the kernel in `slot` connects to.

        A slot of eight characters or more is unique by itself, and stays the kernel's in another container; a shorter
        one (`main`) is this container's own.
        """
        return self.path.parent / KERNELS / (slot if len(slot) >= SLOT_LENGTH else f"{self.id}{slot}")

    @classmethod
    def create(cls, parent: Path, user: User) -> RunDir:
        try:
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            details = parent.stat()
        except OSError as exc:
            raise StartFailed(f"run directory {parent} cannot be made: {exc.strerror}", "Set c.Syla.run_dir") from exc
        if details.st_uid != os.geteuid() or details.st_mode & 0o077:
            raise StartFailed(f"run directory {parent} is open to other users", f"chmod 700 {parent}, or remove it")
        owner = process_identity(os.getpid())
        id = secrets.token_hex(4)
        draft = cls(parent / f".{owner['pid']}.{owner['start']}.{id}")  # owned by its name until it has an owner
        draft.path.mkdir(mode=0o700)
        (draft.path / "h").mkdir(mode=0o700)
        draft.container_side.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(draft.container_side, user.uid, user.gid)
        draft.write_owner()
        return cls(draft.path.rename(parent / id))

    def write_owner(self) -> None:
        (self.path / "owner.new").write_text(json.dumps(process_identity(os.getpid())))
        (self.path / "owner.new").rename(self.path / "owner")

    def disown(self) -> None:
        (self.path / "owner").unlink(missing_ok=True)

    def owner_alive(self) -> bool | None:
        """None: nobody owns it."""
        try:
            if self.path.name.startswith("."):
                pid, start = map(int, self.path.name.split(".")[1:3])
                owner = {"pid": pid, "start": start}
            else:
                owner = json.loads((self.path / "owner").read_text())
        except (OSError, ValueError):
            return None
        return bool(process_identity(int(owner["pid"])) == owner)

    def note(self, name: str, value: dict[str, str]) -> None:
        """Keep something for processes that come later; nobody else may read it."""
        fresh = self.path / "h" / f"{name}.new"
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(value, file)
        fresh.rename(self.path / "h" / name)

    def noted(self, name: str) -> dict[str, str] | None:
        try:
            return dict(json.loads((self.path / "h" / name).read_text()))
        except (OSError, ValueError):
            return None

    def has(self, name: str) -> bool:
        return (self.path / "h" / name).exists()

    def forget(self, name: str) -> None:
        (self.path / "h" / name).unlink(missing_ok=True)

    def listens(self) -> bool:
        """Whether somebody listens on the agent's socket, if only the kernel on behalf of a frozen one."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            try:
                probe.connect(str(self.agent_socket))
            except BlockingIOError:
                return True  # frozen, and asked so often that its queue is full
            except OSError:
                return False
        return True

    def adopt_agent(self) -> None:
        """Link the agent's socket, before any user code runs in the container."""
        self._link("agent", self.agent_socket)

    def link_kernel(self, prefix: str, slot: str) -> None:
        """Make the sockets of the kernel at `prefix` (a plain name in `c/`) those of `slot`."""
        if not (prefix.isascii() and prefix.isalnum() and len(prefix) <= 40):
            raise StartFailed("the agent named a kernel outside of its directory")
        for number in range(1, SOCKET_COUNT + 1):
            self._client_socket(slot, number).parent.mkdir(mode=0o700, exist_ok=True)
            self._link(f"{prefix}-{number}", self._client_socket(slot, number))

    def unlink_kernel(self, slot: str) -> None:
        for number in range(1, SOCKET_COUNT + 1):
            self._client_socket(slot, number).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.client_prefix(slot).parent.rmdir()

    def _client_socket(self, slot: str, number: int) -> Path:
        prefix = self.client_prefix(slot)
        return prefix.with_name(f"{prefix.name}-{number}")

    def remove(self) -> None:
        remove_tree(self.path)

    def _link(self, theirs: str, ours: Path) -> None:
        fresh = ours.with_name(f"{ours.name}.new")
        fresh.unlink(missing_ok=True)
        try:
            os.link(self.container_side / theirs, fresh, follow_symlinks=False)
        except OSError as exc:
            raise StartFailed(f"socket {theirs} is not there: {exc.strerror}") from exc
        if not stat.S_ISSOCK(os.lstat(fresh).st_mode):
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise StartFailed(f"socket {theirs} is not a socket: refused")
        fresh.rename(ours)


def sweep_kernels(parent: Path) -> list[str]:
    """Remove links in `k/` whose socket has no other name left: its container's directory is gone. Gives the names."""
    swept = []
    for link in (parent / KERNELS).glob("*"):
        with contextlib.suppress(OSError):
            if link.lstat().st_nlink == 1:
                link.unlink()
                swept.append(link.name)
    with contextlib.suppress(OSError):
        (parent / KERNELS).rmdir()
    return swept


def bound(parent: Path) -> None:
    """Mount a small tmpfs there, once, while nothing is in it; it stays until the host is restarted. Needs root."""
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.path.ismount(parent) or any(parent.iterdir()):
        return
    options = f"size={RUN_BYTES},nr_inodes={RUN_FILES},mode=0700,nosuid,nodev,noexec"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "syla", str(parent)], check=False, capture_output=True)


def process_identity(pid: int) -> dict[str, int]:
    """Pid and start time (clock ticks since boot): the pair is never used twice. {} when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return {}
    return {"pid": pid, "start": int(fields[19])}
