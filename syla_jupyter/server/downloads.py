"""`/files/…`: a file as it is, in pieces, through a descriptor that was found without leaving its workspace."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from typing import IO

from jupyter_server.base.handlers import AuthenticatedFileHandler
from jupyter_server.utils import to_api_path
from tornado.web import HTTPError

from .file_errors import answered
from .files import WorkspaceFiles, modified
from .paths import parse

_CHUNK_BYTES = 64 * 1024


class WorkspaceFileHandler(AuthenticatedFileHandler):
    _file: IO[bytes]

    def validate_absolute_path(self, root: str, absolute_path: str) -> str:
        """Opens the file; the path goes on as a name only."""
        path = to_api_path(absolute_path, os.path.abspath(root))
        with answered(path):
            if not self.contents_manager.allow_hidden and parse(path).hidden:
                raise HTTPError(404, f"{path}: hidden")
            self._file = os.fdopen(WorkspaceFiles(root).open(path), "rb", buffering=0)
        self._info = os.fstat(self._file.fileno())
        return absolute_path

    def get_content_size(self) -> int:
        return self._info.st_size

    def get_modified_time(self) -> datetime:
        return modified(self._info).replace(microsecond=0)

    def get_content(  # type: ignore[override] # tornado calls it on the instance, and the descriptor is there
        self, abspath: str, start: int | None = None, end: int | None = None
    ) -> Iterator[bytes]:
        """No more than the size that was announced, however the file grows."""
        position, end = start or 0, self._info.st_size if end is None else end
        while position < end and (data := os.pread(self._file.fileno(), min(_CHUNK_BYTES, end - position), position)):
            yield data
            position += len(data)

    def on_finish(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()
        super().on_finish()
