"""Which workspace a command means: `--workspace`, else SYLA_WORKSPACE, else the one this terminal session uses, else
an ephemeral one.

A terminal session is told by its leader, the shell that the terminal runs: its process id and start time, which no
other process ever has again. So each terminal has its own active workspace, all commands of one terminal share it, and
nothing is to be set in the shell. `SYLA_SESSION` names a session where there is no terminal.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..app import Application
from ..model.errors import BadInput, BadPath, SylaError, UnknownWorkspace
from ..model.record import WorkspaceRecord
from ..model.workspace import DEFAULT_WORKSPACE
from ..runtimes.rundir import process_identity
from ..workspaces.live import LiveWorkspace
from ..workspaces.placement import chosen_workspace

EPHEMERAL = "ephemeral"
ACTIVITY_SECONDS = 60.0


def root_directory(given: str | None, environ: Mapping[str, str]) -> Path:
    """Where `workspaces/` is: `--root`, else SYLA_ROOT, else the current directory."""
    text, field = (given, "--root") if given else (environ.get("SYLA_ROOT", ""), "SYLA_ROOT")
    root = Path(text).expanduser().absolute() if text else Path.cwd()
    if not root.is_dir():
        raise BadPath(field, f"{root} is not a directory", "Give one that exists")
    return root


def terminal_session(environ: Mapping[str, str]) -> str:
    """A name for it, also good as a file's name."""
    named = environ.get("SYLA_SESSION", "")
    if named:
        return f"named-{hashlib.sha256(named.encode(errors='replace')).hexdigest()[:32]}"
    leader = os.getsid(0)
    return f"{leader}.{process_identity(leader).get('start', 0)}"


def use(application: Application, record: WorkspaceRecord | None) -> None:
    """Point this terminal session at a workspace; None: at none."""
    session = terminal_session(application.environ)
    owner = application.registry().catalog.owner
    application.store().set_active(owner, session, record.id if record else None, application.clock.now())
    marks = _marks(application)
    marks.mkdir(mode=0o700, parents=True, exist_ok=True)
    for mark in marks.iterdir():
        if _has_ended(mark.name):
            mark.unlink(missing_ok=True)
    if record is None:
        (marks / session).unlink(missing_ok=True)
    else:
        (marks / session).touch(mode=0o600)


def chosen(application: Application, given: str | None) -> tuple[str, str] | None:
    """(name or id, what said so); None: an ephemeral one."""
    if given is not None:
        return None if given == EPHEMERAL else (given, "--workspace")
    if application.environ.get("SYLA_WORKSPACE"):
        name = chosen_workspace(application.environ)
        return None if name is None else (name, "SYLA_WORKSPACE")
    id = active(application)
    return None if id is None else (id, "syla workspace use")


def active(application: Application) -> str | None:
    """The id of the workspace that this terminal session uses."""
    session = terminal_session(application.environ)
    if not (_marks(application) / session).exists():
        return None  # so that an ephemeral workspace waits for no database
    return application.store().active(application.registry().catalog.owner, session)


def _marks(application: Application) -> Path:
    """Empty files, named as the sessions that have used a workspace."""
    return application.settings.data_dir / "sessions"


def _has_ended(session: str) -> bool:
    pid, _, start = session.partition(".")
    return pid.isdecimal() and str(process_identity(int(pid)).get("start")) != start


def find(application: Application, name: str, said_by: str, template: str | None) -> tuple[WorkspaceRecord, str]:
    """The record, and a note for the user; the default workspace is made when it is asked for."""
    catalog = application.registry().catalog
    if name == DEFAULT_WORKSPACE:
        root = root_directory(None, application.environ)
        record, note = catalog.default(root, template or application.settings.template)
    else:
        try:
            record, note = catalog.get(name), ""
        except UnknownWorkspace as exc:
            raise UnknownWorkspace(said_by, exc.message.partition(": ")[2], exc.hint) from None
    if template is not None and record.template != template:
        raise BadInput(
            "--template",
            f"workspace {record.name!r} is of template {record.template!r}",
            "Leave the option out, or choose another workspace",
        )
    return record, note


def named(application: Application, name: str | None) -> WorkspaceRecord:
    """The workspace of that name or id, else the one that is in use here."""
    if name is not None:
        return application.registry().catalog.get(name)
    found = chosen(application, None)
    if found is None:
        raise UnknownWorkspace("NAME", "no workspace is in use in this terminal", "Name one, or `syla workspace use`")
    return find(application, *found, None)[0]


@contextlib.contextmanager
def in_use(application: Application, record: WorkspaceRecord) -> Iterator[LiveWorkspace]:
    """The running workspace, used as long as the block lasts; it lives on afterwards."""
    live = application.registry().open(record.id)
    ended = threading.Event()

    def keep_active() -> None:
        while True:
            with contextlib.suppress(SylaError):
                application.store().touch_activity(record.id, application.clock.now())
            if ended.wait(ACTIVITY_SECONDS):
                return

    beside = threading.Thread(target=keep_active, name="syla-activity", daemon=True)
    beside.start()
    try:
        yield live
    finally:
        ended.set()
        with contextlib.suppress(SylaError):
            application.store().touch_activity(record.id, application.clock.now())
            application.chronicle().executed(record)
        live.detach()
