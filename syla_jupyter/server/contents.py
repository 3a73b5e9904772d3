"""Files as Jupyter shows and saves them, from which no link of a workspace leads out.

Jupyter Server's own manager does its work with path names, which a container can exchange for links between the look
and the deed. So every method of it that touches the disk is replaced here by an operation of `WorkspaceFiles`; what is
left of the parent is models, hooks, signatures and the order of things. A test compares the parent's methods with the
ones replaced, so that a new version's new door does not stay open.

Two habits differ. What is deleted is gone, directories with something in them included: a host's trash would take files
out of their workspace. And files that are copied, notebooks apart, are not read into memory, nor shown to save hooks.
"""

from __future__ import annotations

import errno
import mimetypes
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from anyio.to_thread import run_sync
from jupyter_server import CallContext
from jupyter_server.services.contents.manager import AsyncContentsManager, copy_pat
from tornado.web import HTTPError
from traitlets import Bool, default, validate

from ..model.errors import StoreFailed
from . import paths
from .checkpoints import WorkspaceCheckpoints
from .contents_io import BeneathFileManager
from .downloads import WorkspaceFileHandler
from .file_errors import answered
from .files import Entry, created, modified
from .tree import Allowance
from .trust import digests_in, without_trust

COPY_MAX_ENTRIES = 200_000
CHANGES = ("save", "rename", "copy", "delete")
MIB = 1024 * 1024


def out_of_force(manager: Any) -> str:
    """Why a server with this contents manager could be led out of a workspace; empty: it cannot."""
    if not isinstance(manager, WorkspaceContentsManager):
        return f"contents_manager_class is {type(manager).__name__}, which follows links out of workspaces"
    if not isinstance(manager.checkpoints, WorkspaceCheckpoints):
        return f"checkpoints_class is {type(manager.checkpoints).__name__}, which follows links out of workspaces"
    root = getattr(manager.parent, "root_dir", manager.root_dir)
    if os.path.abspath(manager.root_dir) != os.path.abspath(root):
        return f"the contents manager's root_dir is {manager.root_dir}, not the server's, where workspaces are: {root}"
    handler = manager.files_handler_class
    if handler is not None and not issubclass(handler, WorkspaceFileHandler):
        return f"files_handler_class is {handler.__name__}, which follows links out of workspaces"
    return ""


class WorkspaceContentsManager(BeneathFileManager):
    protected: Callable[[str], str] = staticmethod(paths.protected)
    """API path -> why it cannot be made, renamed or deleted here; empty: it can."""

    vouch: Callable[[str, Sequence[str]], None] = staticmethod(lambda person, digests: None)
    """Told which outputs somebody says yes to (`trust`); blocks."""

    tell_change: Callable[[str, str], None] = staticmethod(lambda action, path: None)
    """Told what was done to which file, by its API path; waits for nobody."""

    delete_to_trash = Bool(False, config=True, help="Always False: a host's trash is outside of the workspace.")
    always_delete_dir = Bool(
        True, config=True, help="Whether a directory with something in it can be deleted. False: only when it is empty."
    )

    @validate("delete_to_trash")
    def _no_trash(self, proposal: Any) -> bool:
        if proposal["value"]:
            self.log.warning(
                "delete_to_trash is ignored: deleted files are gone, a trash would be outside of the workspace"
            )
        return False

    @default("checkpoints_class")
    def _checkpoints_class_default(self) -> Any:
        return WorkspaceCheckpoints

    @default("files_handler_class")
    def _files_handler_class_default(self) -> Any:
        return WorkspaceFileHandler

    def emit(self, data: Any) -> None:
        super().emit(data)  # type: ignore[no-untyped-call]
        if data.get("action") in CHANGES:
            for path in ("path", "source_path") if data["action"] == "rename" else ("path",):
                self.tell_change(data["action"], str(data.get(path, "")).strip("/"))

    # -- names ---------------------------------------------------------------------------------------------------

    def _get_os_path(self, path: str) -> str:
        """For names in messages, and what others make of it: nothing here opens it."""
        with answered(path):
            return os.path.join(os.path.abspath(self.root_dir), *paths.parse(path).text.split("/")).rstrip("/") or "/"

    def _is_hidden(self, path: str) -> bool:
        with answered(path):
            return paths.parse(path).hidden

    def _check(self, path: str, verb: str) -> None:
        """Refuse what may not be made, moved or removed."""
        if not self.allow_hidden and self._is_hidden(path):
            raise HTTPError(400, f"Cannot {verb} file or directory {path!r}")
        with answered(path):
            reason = self.protected(path)
        if reason:
            raise HTTPError(403, reason)

    # -- looking -------------------------------------------------------------------------------------------------

    def _look(self, path: str) -> Entry | None:
        """None: nothing is there, or nothing that may be looked at."""
        try:
            return self.files.look(path)
        except OSError:
            return None

    def exists(self, path: str) -> bool:  # type: ignore[override] # as FileContentsManager has it
        return self.files.exists(path)

    async def file_exists(self, path: str) -> bool:
        entry = await run_sync(self._look, path)
        return entry is not None and entry.is_file

    async def dir_exists(self, path: str) -> bool:
        entry = await run_sync(self._look, path)
        return entry is not None and entry.is_dir

    async def is_hidden(self, path: str) -> bool:
        return self._is_hidden(path)

    def is_writable(self, path: str) -> bool:
        entry = self._look(path)
        return entry is not None and entry.writable

    def resolve_path(self, path: str) -> str | None:  # type: ignore[override] # as FileContentsManager has it
        """API path of a path of this machine, or of an API path; None: nothing is there."""
        given = os.path.expanduser(path)
        if given != path:
            given = os.path.abspath(given)  # by name, as the parent does
        below = (given + "/").startswith(os.path.abspath(self.root_dir).rstrip("/") + "/")
        if given != path and not below:
            return None
        name = self._name(given) if below else given.strip("/")
        return name if self.exists(name) else None

    # -- models --------------------------------------------------------------------------------------------------

    def _model(self, path: str, entry: Entry) -> dict[str, Any]:
        return {
            "name": path.rpartition("/")[2],
            "path": path,
            "last_modified": modified(entry.info),
            "created": created(entry.info),
            "content": None,
            "format": None,
            "mimetype": None,
            "size": entry.info.st_size,
            "writable": entry.writable,
            "hash": None,
            "hash_algorithm": None,
        }

    def _base_model(self, path: str) -> dict[str, Any]:
        if not self.allow_hidden and self._is_hidden(path):
            raise HTTPError(404, f"file or directory does not exist: {path!r}")
        with answered(path):
            return self._model(path, self.files.look(path, or_link=True))

    async def _dir_model(self, path: str, content: bool = True) -> dict[str, Any]:
        model = self._base_model(path) | {"type": "directory", "size": None}
        if content:
            model["content"], more = await self._do(path, self._listed, path)
            model["format"] = "json"
            if more:
                model["truncated"] = True
                self.log.warning("%r has more entries than are listed (%d)", path, len(model["content"]))
        return model

    def _listed(self, path: str) -> tuple[list[dict[str, Any]], bool]:
        entries, more = self.files.entries(path)
        models = []
        for entry in entries:
            listed = self.should_list(entry.name)  # type: ignore[no-untyped-call]
            if not listed or (entry.name.startswith(".") and not self.allow_hidden):
                continue
            model = self._model(f"{path}/{entry.name}".lstrip("/"), entry)
            if entry.is_dir:
                model |= {"type": "directory", "size": None}
            elif entry.name.endswith(".ipynb"):
                model["type"] = "notebook"
            else:
                model |= {"type": "file", "mimetype": mimetypes.guess_type(entry.name)[0]}
            models.append(model)
        return models, more

    async def get(
        self,
        path: str,
        content: bool = True,
        type: str | None = None,
        format: str | None = None,
        require_hash: bool = False,
    ) -> dict[str, Any]:
        path = path.strip("/")
        entry = await self._do(path, partial(self.files.look, path, or_link=not content))
        model: dict[str, Any]
        if entry.is_dir:
            if type not in (None, "directory"):
                raise HTTPError(400, f"{path} is a directory, not a {type}", reason="bad type")
            if require_hash:
                raise HTTPError(400, f"{path} is a directory, which has no hash")
            model = await self._dir_model(path, content=content)
        elif type == "directory":
            raise HTTPError(400, f"{path} is not a directory", reason="bad type")
        elif not entry.is_file and not entry.is_link:
            with answered(path):
                raise OSError(errno.ENXIO, "not a regular file")
        elif type == "notebook" or (type is None and path.endswith(".ipynb")):
            model = await self._notebook_model(path, content, require_hash)  # type: ignore[no-untyped-call]
        else:
            model = await self._file_model(path, content, format, require_hash)  # type: ignore[no-untyped-call]
        self.emit({"action": "get", "path": path})
        return model

    # -- saving, moving, removing --------------------------------------------------------------------------------

    async def save(self, model: dict[str, Any], path: str = "") -> Any:
        path = path.strip("/")
        if model.get("type") != "directory":
            with answered(path):
                if reason := self.protected(path):
                    raise HTTPError(403, reason)
        elif not await self.dir_exists(path):
            self._check(path, "create")
        return await super().save(model, path)

    async def delete_file(self, path: str) -> None:
        path = path.strip("/")
        self._check(path, "delete")
        empty = partial(self.files.is_empty, path, but=getattr(self.checkpoints, "checkpoint_dir", ""))
        if not self.always_delete_dir and not await self._do(path, empty):
            raise HTTPError(400, f"Directory {path} not empty")
        await self._do(path, self.files.remove, path)

    async def rename_file(self, old_path: str, new_path: str) -> None:
        old_path, new_path = old_path.strip("/"), new_path.strip("/")
        if old_path != new_path:
            for path in (old_path, new_path):
                self._check(path, "rename")
            await self._do(f"{old_path} to {new_path}", self.files.rename, old_path, new_path)

    # -- whom a page believes ------------------------------------------------------------------------------------

    async def trust_notebook(self, path: str) -> None:
        """By who asks, for himself: all outputs that are in the file now."""
        if (await self.get(path, content=False))["type"] != "notebook":
            raise HTTPError(400, f"{path} is not a notebook")
        model = await self.get(path, type="notebook")
        user = getattr(CallContext.get(CallContext.JUPYTER_HANDLER), "current_user", None)
        if user is not None:
            digests = await run_sync(digests_in, model["content"])
            try:
                await run_sync(self.vouch, user.username, digests)
            except StoreFailed as exc:
                raise HTTPError(503, str(exc)) from exc

    def mark_trusted_cells(self, nb: Any, path: str = "") -> None:
        """None is: what a file says of itself anybody can have written."""
        without_trust(nb)

    def check_and_sign(self, nb: Any, path: str = "", *, _retrying: bool = False) -> None:
        """Nothing is signed: it would be for everybody."""
        without_trust(nb)

    async def copy(self, from_path: str, to_path: str | None = None) -> dict[str, Any]:
        """`to_path`: where to, or a directory to put it in; None: beside it."""
        path = from_path.strip("/")
        entry = await self._do(path, self.files.look, path)
        if entry.is_file and path.endswith(".ipynb"):
            copied: dict[str, Any] = await AsyncContentsManager.copy(self, from_path, to_path)
            return copied
        directory, _, name = path.rpartition("/")
        name = copy_pat.sub(".", name)
        target = directory if to_path is None else to_path.strip("/")
        if await self.dir_exists(target):
            name = await self.increment_filename(name, target, "-Copy")  # type: ignore[no-untyped-call]
            target = f"{target}/{name}"
        elif entry.is_dir:
            await self._do(target, partial(self.files.make_directory, target, parents=True))
            target = f"{target}/{name}"
        target = target.strip("/")
        self._check(target, "copy")
        limit = self.max_copy_folder_size_mb * MIB if entry.is_dir else 1 << 62
        try:
            await run_sync(self.files.copy, path, target, Allowance(limit, COPY_MAX_ENTRIES))
        except OSError as exc:
            if exc.errno == errno.EFBIG:
                limits = f"{self.max_copy_folder_size_mb} MB, {COPY_MAX_ENTRIES} files"
                raise HTTPError(400, f"{path}: larger than what is copied here ({limits}). Use a terminal") from exc
            with answered(f"{path} to {target}"):
                raise
        model = await self.get(target, content=False)
        self.emit({"action": "copy", "path": target, "source_path": path})
        return model
