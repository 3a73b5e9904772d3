"""Which workspaces a request names, whoever asks: by path, kernel, session, terminal, or by name.

What cannot be found out names `NOWHERE`, which nobody has a permission on. Everything here may block, but for what is
in the memory of the kernel and terminal managers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..metadata.base import WorkspaceStore
from ..metadata.people_base import PeopleStore
from ..model.errors import BadPath, UnknownWorkspace
from ..model.people import Principal
from ..workspaces.finding import find_for
from ..workspaces.placement import WORKSPACES_DIR
from . import paths
from .gates import Source
from .rooms import GLOBAL, document_of
from .terminals import host_directory

NOWHERE = ""
LISTED = ("", WORKSPACES_DIR)
"""Directories above all workspaces: what is in them is listed by what each may read."""


@dataclass(frozen=True)
class Request:
    """What of a request can name a workspace."""

    principal: Principal
    names: Mapping[str, str]
    """Groups of the address; the first without a name is `0`."""
    body: Mapping[str, Any]
    session: Mapping[str, Any] | None
    """The session it names, as Jupyter describes it; None: none, or there is no such."""


@dataclass(frozen=True)
class Naming:
    store: WorkspaceStore
    people: PeopleStore
    root: Path
    """Of the server's files, resolved."""
    default_id: Callable[[], str]
    """Of the workspace whose directory the root is; `NOWHERE` where none is."""
    kernel_workspace: Callable[[str], str]
    """By kernel id."""
    terminal_directory: Callable[[str], Path | None]
    """By terminal name, the host directory where it was opened."""
    file_path: Callable[[str], str | None] = lambda file_id: None
    """By file id, the API path."""

    def workspaces(self, source: Source, request: Request) -> Iterable[str]:
        """Ids; each has to be asked for. Nothing named: nothing to ask, where the source is optional."""
        names, body = request.names, request.body
        if source is Source.PATH:
            return [self.at(names.get("path", names.get("0", "")))]
        if source is Source.LISTED_PATH:
            path = names.get("path", "")
            return [] if is_listed(path) else [self.at(path)]
        if source is Source.BODY_PATH:
            return [self.at(path) for path in body_paths(body)]
        if source is Source.NEW_PATH:
            return [self.at(path) for path in body_paths(body) or [""]]
        if source is Source.COPIED_PATH:
            return [self.at(body["copy_from"])] if body.get("copy_from") else []
        if source is Source.KERNEL:
            return [self.kernel_workspace(names["kernel_id"])]
        if source is Source.BODY_KERNEL:
            return [self.kernel_workspace(id) for id in body_kernels(body)]
        if source is Source.SESSION:
            return self.of_session(request.session)
        if source is Source.TERMINAL:
            return [self.of_terminal(names.get("0", ""))]
        if source is Source.ROOM:
            return self.of_room(names.get("0", ""))
        if source is Source.BODY_CWD:
            return [self._of_directory(body.get("cwd") or "")]
        return [self.named(request.principal, names["workspace"])]

    def at(self, path: Any) -> str:
        """Of an API path, as the contents manager reads it."""
        if not isinstance(path, str):
            return NOWHERE
        try:
            parsed = paths.parse(path)
        except OSError:
            return NOWHERE
        if not parsed.top:
            return self.default_id()
        record = self.store.at(self.root.joinpath(*parsed.top)) if len(parsed.top) == 2 else None
        return NOWHERE if record is None else record.id

    def of_session(self, session: Mapping[str, Any] | None) -> list[str]:
        if session is None:
            return [NOWHERE]
        kernel = session.get("kernel") or {}
        return [self.at(session.get("path")), self.kernel_workspace(str(kernel.get("id", "")))]

    def of_terminal(self, name: str) -> str:
        directory = self.terminal_directory(name)
        return NOWHERE if directory is None else self._of_host(directory)

    def of_room(self, name: str) -> list[str]:
        if name == GLOBAL:
            return []
        document = document_of(name)
        return [NOWHERE if document is None else self.at(self.file_path(document.file_id))]

    def named(self, principal: Principal, name_or_id: str) -> str:
        try:
            return find_for(principal, name_or_id, store=self.store, people=self.people).id
        except UnknownWorkspace:
            return NOWHERE

    def _of_directory(self, cwd: Any) -> str:
        try:
            return self._of_host(host_directory(self.root, cwd)) if isinstance(cwd, str) else NOWHERE
        except BadPath:
            return NOWHERE

    def _of_host(self, directory: Path) -> str:
        return self.at(str(directory.relative_to(self.root))) if directory.is_relative_to(self.root) else NOWHERE


def is_listed(path: str) -> bool:
    try:
        return paths.parse(path).text in LISTED
    except OSError:
        return False


def body_of(content: bytes) -> Mapping[str, Any]:
    """As the handlers read it; what they would refuse names nothing."""
    try:
        body = json.loads(content.strip().decode() or "{}")
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def body_paths(body: Mapping[str, Any]) -> list[Any]:
    """All that a handler could take: what is wrong in kind names nowhere."""
    notebook = body.get("notebook")
    found = [body["path"]] if body.get("path") is not None else []
    if isinstance(notebook, dict) and notebook.get("path") is not None:
        found.append(notebook["path"])
    return found


def body_kernels(body: Mapping[str, Any]) -> list[str]:
    kernel = body.get("kernel")
    id = kernel.get("id") if isinstance(kernel, dict) else None
    return [] if id is None else [str(id)]
