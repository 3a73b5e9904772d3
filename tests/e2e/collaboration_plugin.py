"""Loaded by jupyter-collaboration's own tests: their servers get our extension and have users, their rooms are ours.

All that they ask for is asked by an editor of the server's directory, who is not its owner, so each message of theirs
passes by the doorkeeper and the room's guard; what is for admins is asked by the owner. Where a test makes a room of its
own, with contents and file ids that it made up, it gets our class of rooms and loaders.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp
from jupyter_server_ydoc import loaders, rooms

from syla_jupyter import Syla
from syla_jupyter.model.clock import SystemClock
from syla_jupyter.server.document_room import Documents, WorkspaceFileLoader, WorkspaceRoom
from syla_jupyter.server.documents import SyncedStates
from syla_jupyter.server.room_socket import SETTING as ROOMS

EDITOR = "eve"
OWNERS_TOKEN = "token-of-the-owner"
OWNERS = ("test_fork_handler",)
"""Copies of documents are for admins."""


@functools.cache
def editors_token() -> str:
    """With the first that asks, there are users."""
    with Syla() as syla:
        syla.people.add(EDITOR)
        return syla.people.issue_token(EDITOR).secret


def share(root: str) -> None:
    with Syla(root) as syla:
        syla.default().share(EDITOR, "editor")


class OurRoom(WorkspaceRoom):
    documents = Documents(SyncedStates(Path(":memory:")), lambda path: "workspace", SystemClock())

    async def initialize(self) -> None:
        """A server starts each room before; tests do not always."""
        if not self.started.is_set():
            self.create_task(self.start())
            await self.started.wait()
        await super().initialize()


rooms.DocumentRoom, loaders.FileLoader = OurRoom, WorkspaceFileLoader  # before the tests' modules ask for them


class Fixtures:
    """Registered last, so these come before those of the same name."""

    @pytest.fixture
    def jp_auth_header(self, request: pytest.FixtureRequest) -> dict[str, str]:
        token = OWNERS_TOKEN if request.node.originalname in OWNERS else editors_token()
        return {"Authorization": f"token {token}"}

    @pytest.fixture(autouse=True)
    def websockets_of_somebody(self, jp_auth_header: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        theirs = sys.modules["jupyter_server_ydoc.pytest_plugin"]
        monkeypatch.setattr(theirs, "aconnect_ws", functools.partial(theirs.aconnect_ws, headers=jp_auth_header))

    @pytest.fixture(autouse=True)
    def rooms_in_force(self, request: pytest.FixtureRequest) -> None:
        """With users, and an identity that is asked for; or this suite would say nothing."""
        if "jp_serverapp" in request.fixturenames:
            server = request.getfixturevalue("jp_serverapp")
            (ydoc,) = server.extension_manager.extension_apps["jupyter_server_ydoc"]
            assert server.identity_provider.auth_enabled
            assert ROOMS in server.web_app.settings
            assert not ydoc.disable_rtc


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Fixtures())
    initialize = ServerApp.initialize

    def with_our_extension(self: Any, *args: Any, **kwargs: Any) -> Any:
        editors_token()
        self.jpserver_extensions = {**self.jpserver_extensions, "syla_jupyter": True}
        self.config.SylaExtension.warm_start = False
        self.config.IdentityProvider.token = OWNERS_TOKEN
        share(str(self.root_dir))
        return initialize(self, *args, **kwargs)

    ServerApp.initialize = with_our_extension
