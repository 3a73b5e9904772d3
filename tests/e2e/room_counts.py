"""A server extension for tests: how many rooms, loaders of files, watchers and ids of files a server holds."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import APIHandler
from tornado import web

NAME = "tests.e2e.room_counts"
ROUTE = "/test/rooms"


class Counts(APIHandler):
    """Not in the table of gates: for admins."""

    @web.authenticated
    def get(self) -> None:
        apps = self.serverapp.extension_manager.extension_apps
        (ydoc,) = apps["jupyter_server_ydoc"]
        loaders = ydoc.file_loaders._FileLoaderMapping__dict
        watchers = [task for task in asyncio.all_tasks() if "_watch_file" in repr(task.get_coro())]
        files = self.settings["file_id_manager"].con.execute("SELECT COUNT(*) FROM Files").fetchone()[0]
        participants = self.settings["syla_rooms"].presences
        rooms = sorted(ydoc.ywebsocket_server.rooms)
        here = {room: len(participants.in_room(room)) for room in participants.rooms()}
        counted = {"rooms": rooms, "loaders": len(loaders), "watchers": len(watchers), "files": files, "here": here}
        self.finish(json.dumps({**counted, "locks": len(ydoc._room_locks)}))


def _load_jupyter_server_extension(serverapp: Any) -> None:
    serverapp.web_app.add_handlers(".*$", [(ROUTE, Counts)])


def environment(directory: Path) -> dict[str, str]:
    """For a server that has it. `directory`: for a file of configuration."""
    directory.mkdir(exist_ok=True)
    enabled = {"ServerApp": {"jpserver_extensions": {NAME: True}}}
    (directory / "jupyter_server_config.json").write_text(json.dumps(enabled))
    return {"JUPYTER_CONFIG_PATH": str(directory), "PYTHONPATH": str(Path(__file__).parents[2])}
