"""What Jupyter Server's contents manager reads and writes files with, done beneath their workspace.

Its methods hand each other an `os_path`. Here that is only a name: it is turned back into an API path, never opened.

A file is written by one request at a time: two at once would share its backup, and mix what they write.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import weakref
from base64 import decodebytes, encodebytes
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import IO, Any, TypeVar

import nbformat
from anyio.to_thread import run_sync
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from jupyter_server.utils import to_api_path
from tornado.web import HTTPError

from .file_errors import answered
from .files import WorkspaceFiles, write_all

T = TypeVar("T")
TURN_SECONDS = 60.0  # for a save before, whatever the disk does
_held: ContextVar[frozenset[str]] = ContextVar("syla_files_being_written", default=frozenset())


class BeneathFileManager(AsyncLargeFileManager):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def _alone(self, path: str) -> AsyncIterator[None]:
        """One writer of that file at a time; 503 when those before take too long.

        Checkpoints of another kind restore by saving: whoever has the turn has it there, too.
        """
        path, held = path.strip("/"), _held.get()
        if path in held:
            yield
            return
        turn = self._turns.setdefault(path, asyncio.Lock())
        try:
            await asyncio.wait_for(turn.acquire(), TURN_SECONDS)
        except TimeoutError:
            raise HTTPError(503, f"{path} is being saved for too long. Try again") from None
        token = _held.set(held | {path})
        try:
            yield
        finally:
            _held.reset(token)
            turn.release()

    async def save(self, model: dict[str, Any], path: str = "") -> Any:
        async with self._alone(path):
            return await super().save(model, path)  # type: ignore[no-untyped-call]

    async def restore_checkpoint(self, checkpoint_id: str, path: str) -> None:
        async with self._alone(path):
            await super().restore_checkpoint(checkpoint_id, path)  # type: ignore[no-untyped-call]

    @property
    def files(self) -> WorkspaceFiles:
        return WorkspaceFiles(self.root_dir)

    def _name(self, os_path: str) -> str:
        return str(to_api_path(os_path, os.path.abspath(self.root_dir)))

    async def _do(self, path: str, function: Callable[..., T], *arguments: Any) -> T:
        """In a thread: a disk may be slow."""
        with answered(path):
            return await run_sync(function, *arguments)

    @contextlib.contextmanager
    def open(self, os_path: str, mode: str = "r", **kwargs: Any) -> Iterator[IO[Any]]:
        path = self._name(os_path)
        if mode.startswith("w"):
            with self.atomic_writing(os_path, text="b" not in mode, **kwargs) as file:
                yield file
        elif mode in ("r", "rt", "rb"):
            with answered(path), os.fdopen(self.files.open(path), mode, **kwargs) as file:
                yield file
        else:
            raise HTTPError(400, f"{path}: cannot be opened with mode {mode!r}")

    @contextlib.contextmanager
    def atomic_writing(
        self, os_path: str, text: bool = True, encoding: str = "utf-8", **kwargs: Any
    ) -> Iterator[IO[Any]]:
        """Collected first: until all is there the file is what it was, and then it is written at once."""
        path = self._name(os_path)
        options = {"encoding": encoding, "newline": "\n", **kwargs} if text else kwargs
        collected = io.BytesIO()
        with answered(path):
            if text:
                file = io.TextIOWrapper(collected, **options)
                yield file
                file.flush()
            else:
                yield collected
            with self.files.rewriting(path, backup=self.use_atomic_writing) as descriptor:
                write_all(descriptor, collected.getbuffer())

    async def _read_file(  # type: ignore[override] # as AsyncFileManagerMixin has it
        self, os_path: str, format: str | None, raw: bool = False
    ) -> Any:
        path = self._name(os_path)
        data = await self._do(path, self.files.read, path)
        content: str | bytes
        if format == "byte":
            content = data
        else:
            try:
                content = data.decode() if format in (None, "text") else encodebytes(data).decode("ascii")
                format = format or "text"
            except UnicodeDecodeError as exc:
                if format == "text":
                    raise HTTPError(400, f"{path} is not UTF-8 encoded", reason="bad format") from exc
                content, format = encodebytes(data).decode("ascii"), "base64"
        return (content, format, data) if raw else (content, format)

    async def _read_notebook(
        self, os_path: str, as_version: int = 4, capture_validation_error: Any = None, raw: bool = False
    ) -> Any:
        """What cannot be read as a notebook is replaced by the backup of a save that did not end, if there is one."""
        path = self._name(os_path)
        text, _, data = await self._read_file(os_path, "text", raw=True)
        parse = partial(nbformat.reads, as_version=as_version, capture_validation_error=capture_validation_error)
        try:
            notebook = await run_sync(parse, text)
        except Exception as exc:
            aside = path.rpartition("/")[2] + ".invalid"
            if not self.use_atomic_writing or not await self._do(path, self.files.restore_backup, path, aside):
                raise HTTPError(400, f"Unreadable Notebook: {path} {exc!r}") from exc
            text, _, data = await self._read_file(os_path, "text", raw=True)
            try:
                notebook = await run_sync(parse, text)
            except Exception as again:
                raise HTTPError(400, f"Unreadable Notebook: {path} {again!r}") from again
        return (notebook, data) if raw else notebook

    async def _save_large_file(self, os_path: str, content: str, format: str | None) -> None:
        if format not in ("text", "base64"):
            raise HTTPError(400, "Must specify format of file contents as 'text' or 'base64'")
        path = self._name(os_path)
        try:
            data = content.encode() if format == "text" else decodebytes(content.encode("ascii"))
        except ValueError as exc:
            raise HTTPError(400, f"Encoding error saving {path}: {exc}") from exc
        await self._do(path, self.files.append, path, data)

    async def _save_directory(self, os_path: str, model: Any, path: str = "") -> None:
        await self._do(path, self.files.make_directory, path)

    async def _copy(self, src: str, dest: str) -> None:
        await self._do(self._name(src), self.files.overwrite, self._name(src), self._name(dest))
