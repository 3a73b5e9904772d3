"""Checkpoints beside their files, as Jupyter Server keeps them, made and restored without following a link out."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from anyio.to_thread import run_sync
from jupyter_server.services.contents.filecheckpoints import AsyncFileCheckpoints
from jupyter_server.utils import to_api_path

from .file_errors import answered
from .files import Entry, WorkspaceFiles, modified

ONLY = "checkpoint"
"""The id of the one checkpoint that a file has."""


class WorkspaceCheckpoints(AsyncFileCheckpoints):
    @property
    def files(self) -> WorkspaceFiles:
        return WorkspaceFiles(self.root_dir)

    def _name(self, os_path: str) -> str:
        return str(to_api_path(os_path, os.path.abspath(self.root_dir)))

    def checkpoint_name(self, checkpoint_id: str, path: str) -> str:
        """API path of a checkpoint of the file `path`."""
        parent, _, name = path.strip("/").rpartition("/")
        base, extension = os.path.splitext(name)
        return "/".join(part for part in (parent, self.checkpoint_dir, f"{base}-{checkpoint_id}{extension}") if part)

    def checkpoint_path(self, checkpoint_id: str, path: str) -> str:
        """Where it is on this machine: a name, for messages."""
        return os.path.join(os.path.abspath(self.root_dir), self.checkpoint_name(checkpoint_id, path))

    async def checkpoint_model(self, checkpoint_id: str, os_path: str) -> dict[str, Any]:
        name = self._name(os_path)
        with answered(name):
            return _model(checkpoint_id, await run_sync(self.files.look, name))

    async def _look(self, checkpoint_id: str, path: str) -> Entry | None:
        """None: there is no such checkpoint."""
        try:
            entry = await run_sync(self.files.look, self.checkpoint_name(checkpoint_id, path))
        except OSError:
            return None
        return entry if entry.is_file else None

    async def create_checkpoint(self, contents_mgr: Any, path: str) -> dict[str, Any]:
        name = self.checkpoint_name(ONLY, path)
        with answered(name):
            await run_sync(self.files.make_directory, name.rpartition("/")[0])
            await run_sync(self.files.overwrite, path, name)
            return _model(ONLY, await run_sync(self.files.look, name))

    async def restore_checkpoint(self, contents_mgr: Any, checkpoint_id: str, path: str) -> None:
        if await self._look(checkpoint_id, path) is None:
            self.no_such_checkpoint(path, checkpoint_id)  # type: ignore[no-untyped-call]
        with answered(path):
            await run_sync(self.files.overwrite, self.checkpoint_name(checkpoint_id, path), path)

    async def rename_checkpoint(self, checkpoint_id: str, old_path: str, new_path: str) -> None:
        old, new = (self.checkpoint_name(checkpoint_id, path) for path in (old_path, new_path))
        if await self._look(checkpoint_id, old_path) is not None:
            with answered(new):
                await run_sync(self.files.make_directory, new.rpartition("/")[0])
                await run_sync(partial(self.files.rename, old, new, replace=True))

    async def delete_checkpoint(self, checkpoint_id: str, path: str) -> None:
        if await self._look(checkpoint_id, path) is None:
            self.no_such_checkpoint(path, checkpoint_id)  # type: ignore[no-untyped-call]
        with answered(path):
            await run_sync(self.files.remove, self.checkpoint_name(checkpoint_id, path))

    async def list_checkpoints(self, path: str) -> list[dict[str, Any]]:
        entry = await self._look(ONLY, path)
        return [] if entry is None else [_model(ONLY, entry)]


def _model(checkpoint_id: str, entry: Entry) -> dict[str, Any]:
    return {"id": checkpoint_id, "last_modified": modified(entry.info)}
