"""What a server leaves for the next one, and the private parts of the libraries that adoption stands on."""

from __future__ import annotations

import inspect
import sqlite3
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import zmq
from jupyter_client.session import Session
from traitlets.utils.importstring import import_item

from syla_jupyter.model.clock import SystemClock
from syla_jupyter.model.errors import WorkspaceLost
from syla_jupyter.server.adoption import USED, Survivor, ask, probe
from syla_jupyter.server.records import KernelRecord, ServerDirectory, claim
from syla_jupyter.server.sessions import WorkspaceSessionManager

RECORD = KernelRecord("a-1", "python3", {"workspace": "w", "slot": "s"}, "/root/x", {"LANG": "C"})


def records(directory: ServerDirectory) -> list[KernelRecord]:
    return [row[0] for row in directory.read_all() if not isinstance(row, str)]


# -- the libraries below -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("place", "name"), [(place, name) for place, names in USED.items() for name in names])
def test_private_names_of_the_libraries(place: str, name: str) -> None:
    """Each private name that adoption uses is in the place it was in. If this fails, a new version of jupyter_client or
    jupyter_server works in another way: read what it does now, and mend `server/adoption.py`."""
    module, _, path = place.partition(":")
    owner: Any = import_item(f"{module}.{path.partition('.')[0]}")
    for part in path.split(".")[1:]:
        owner = getattr(owner, part)
    if inspect.isclass(owner):
        assert hasattr(owner, name) or f"self.{name}" in inspect.getsource(owner), f"{place} has no {name}"
    else:
        assert f".{name}" in inspect.getsource(owner), f"{place} does not use {name}"


def test_a_start_still_does_what_adoption_imitates() -> None:
    """`start_kernel` of the kernel managers below calls what `adoption.install` calls, and nothing else."""
    from jupyter_client.manager import KernelManager
    from jupyter_client.multikernelmanager import MultiKernelManager
    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager

    def called(function: Any) -> list[str]:
        lines = [line.strip() for line in inspect.getsource(function).splitlines()]
        return [line for line in lines if line.startswith(("self.", "await self.", "km.", "self._"))]

    assert called(KernelManager._async_post_start_kernel) == [
        "self.start_restarter()",
        "self._connect_control_socket()",
        "await self.provisioner.post_launch(**kw)",
    ]
    finish = called(MappingKernelManager._finish_kernel_start)
    assert [line for line in finish if ".log." not in line] == [
        "self._kernel_ports[kernel_id] = km.ports",
        "self.start_watching_activity(kernel_id)",
        "self.add_restart_callback(",
    ]
    parameters = inspect.signature(MultiKernelManager.pre_start_kernel).parameters
    assert list(parameters) == ["self", "kernel_name", "kwargs"]


# -- records -----------------------------------------------------------------------------------------------------


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    directory = claim(tmp_path / "servers", tmp_path)
    directory.write(RECORD, 1234.0)
    assert list(directory.read_all()) == [(RECORD, 1234.0)]
    directory.note_activity("a-1", 2345.0)
    directory.note_activity("nobody", 2345.0)
    assert list(directory.read_all()) == [(RECORD, 2345.0)]
    directory.remove("a-1")
    directory.remove("a-1")
    assert list(directory.read_all()) == []
    for path in (directory.path, directory.path / "kernels"):
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "5",
        "{}",
        '{"version": 2, "kernel_name": "x", "place": {}}',
        '{"version": 1, "kernel_name": 5, "place": {}}',
        '{"version": 1, "kernel_name": "x", "place": []}',
        '{"version": 1, "kernel_name": "x", "place": {"a": 1}}',
        '{"version": 1, "kernel_name": "x", "place": {}, "more": 1}',
    ],
)
def test_a_broken_record_is_told_and_removed(tmp_path: Path, text: str) -> None:
    directory = claim(tmp_path / "servers", tmp_path)
    file = directory.path / "kernels" / "a-1.json"
    file.write_text(text)
    (line,) = directory.read_all()
    assert str(file) in str(line)
    assert not file.exists()


def test_each_server_has_a_directory_of_its_own(tmp_path: Path) -> None:
    """Two servers on a root share nothing; one on another root neither; what was left is taken over by the next."""
    servers = tmp_path / "servers"
    first, second, other = claim(servers, tmp_path), claim(servers, tmp_path), claim(servers, tmp_path / "x")
    assert len({first.path, second.path, other.path}) == 3
    second.write(RECORD, 1.0)
    other.write(RECORD, 1.0)
    assert list(first.take_over()) == []
    assert records(first) == []
    second.sessions_file.touch()
    second.release()
    other.release()
    assert list(first.take_over()) == [second.sessions_file]
    assert records(first) == [RECORD]
    first.release()
    again = claim(servers, tmp_path)
    assert again.path == first.path
    assert records(again) == [RECORD]


# -- asking ------------------------------------------------------------------------------------------------------


class Kernel:
    """A provisioner that answers as it is told to."""

    workspace_id, frozen = "", False

    def __init__(self, answer: Any = None, wait: threading.Event | None = None) -> None:
        self.answer, self.wait = answer, wait

    def thaw(self) -> None: ...

    def saved(self) -> None: ...

    def adopt(self, saved: Mapping[str, str]) -> Any:
        if self.wait is not None:
            self.wait.wait(10)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def wanted(**kernels: Kernel) -> list[tuple[KernelRecord, Survivor]]:
    return [(KernelRecord(id, "python3", {"workspace": id[0]}), kernel) for id, kernel in kernels.items()]


def test_whoever_does_not_answer_keeps_nobody() -> None:
    """A kernel that does not answer costs its own workspace's kernels, and the given time."""
    never, lost, bug = threading.Event(), WorkspaceLost("it has ended"), RuntimeError("bug")
    kernels = wanted(a1=Kernel("1"), a2=Kernel(lost), b1=Kernel("2", never), b2=Kernel("3"), c1=Kernel(bug))
    began = time.monotonic()
    answers = ask(kernels, SystemClock(), 2.0)
    assert time.monotonic() - began < 8  # the one that says nothing takes 10 s
    assert answers == {"a1": "1", "a2": lost, "c1": bug}
    never.set()


def test_who_answers_is_idle(tmp_path: Path) -> None:
    """Of four kernels, one answers, one says what is not signed, one signs what nobody can unpack, one says nothing."""
    context = zmq.Context()
    key = b"secret"
    infos: dict[str, Any] = {}
    sockets = {}
    for name in ("idle", "forged", "deep", "busy"):
        info = {"transport": "ipc", "ip": str(tmp_path / name), "shell_port": 1, "key": key}
        infos[name] = info | {"signature_scheme": "hmac-sha256"}
        sockets[name] = context.socket(zmq.ROUTER)
        sockets[name].bind(f"ipc://{tmp_path / name}-1")

    def answer(name: str, session: Session) -> None:
        if sockets[name].poll(5000):
            identity, request = Session(key=key).recv(sockets[name])
            session.send(sockets[name], "kernel_info_reply", {"protocol_version": "5.3"}, request, ident=identity)

    def answer_deep() -> None:
        if sockets["deep"].poll(5000):
            identity, *_ = sockets["deep"].recv_multipart()
            parts = [b'{"msg_id": "1", "msg_type": "kernel_info_reply"}', b"{}", b"{}", b"[" * 100_000]
            sockets["deep"].send_multipart([identity, b"<IDS|MSG>", Session(key=key).sign(parts), *parts])

    threads = [
        threading.Thread(target=answer, args=("idle", Session(key=key))),
        threading.Thread(target=answer, args=("forged", Session(key=b"another"))),
        threading.Thread(target=answer_deep),
    ]
    for thread in threads:
        thread.start()
    assert probe(infos, SystemClock(), 3.0) == {"idle": {"protocol_version": "5.3"}}
    for thread in threads:
        thread.join()
    context.destroy(0)


# -- sessions ----------------------------------------------------------------------------------------------------


def rows(manager: WorkspaceSessionManager) -> list[str]:
    return [row["session_id"] for row in manager.cursor.execute("SELECT * FROM session").fetchall()]


def add(manager: WorkspaceSessionManager, id: str) -> None:
    manager.cursor.execute("INSERT INTO session VALUES (?, 'p', 'n', 'notebook', 'k')", (id,))


def test_sessions_are_kept_and_merged(tmp_path: Path) -> None:
    """Rows are there again for the next server, and those of a server that has ended are added once."""
    for name in ("mine", "theirs"):
        manager = WorkspaceSessionManager()
        manager.keep_in(tmp_path / f"{name}.db")
        add(manager, name)
        manager.connection.close()
    (tmp_path / "other.db").write_text("no database")
    for _ in range(2):
        manager = WorkspaceSessionManager()
        manager.keep_in(tmp_path / "mine.db", [tmp_path / "theirs.db", tmp_path / "other.db"])
        assert rows(manager) == ["mine", "theirs"]
        assert not list(tmp_path.glob("theirs*")) + list(tmp_path.glob("other*"))
        manager.connection.close()


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_broken_file_is_put_aside(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "sessions.db"
    file.write_bytes(content)
    manager = WorkspaceSessionManager()
    manager.keep_in(file)
    add(manager, "new")
    assert rows(manager) == ["new"]
    assert (tmp_path / "sessions.broken").read_bytes()[:11] == content[:11]
    manager.connection.close()
    with sqlite3.connect(file) as stored:
        assert stored.execute("SELECT session_id FROM session").fetchall() == [("new",)]
    stored.close()
