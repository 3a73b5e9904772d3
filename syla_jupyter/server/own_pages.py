"""JupyterLab's settings and window layouts, for each person his own.

JupyterLab has one of both for all users of a server. That one stays the server owner's; for anybody else the handler
gets other directories, below one that is named by a digest of his name, before it has read or written anything. What
JupyterLab makes of an address is a path, whatever is in it: a name that is not of the form of a plugin's is unknown.
Sizes and numbers are bounded, for the files are on the host, and settings are read by a slow parser.

Nobody but an admin can install, update or build anything, so nobody else's page asks for it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tornado.web import HTTPError, RequestHandler

LAYOUT_BYTES_MAX = 1 << 20
LAYOUTS_MAX = 100
SETTINGS_BYTES_MAX = 1 << 16
PLUGIN = re.compile(r"(?:@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*:[A-Za-z0-9_-][A-Za-z0-9._-]*")
QUIET: Mapping[str, Mapping[str, Any]] = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}
}


class OwnPages:
    """`directory`: of this, made when somebody changes something."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def give(self, handler: RequestHandler, name: str) -> None:
        """Have the handler of a request serve what is that person's. `HTTPError`: it is not to go on."""
        own: Any = handler
        mine = self._directory / hashlib.sha256(name.encode(errors="replace")).hexdigest()[:32]
        kind = type(handler).__name__
        if kind == "SettingsHandler":
            plugin = handler.path_kwargs.get("schema_name") or ""
            if plugin and not PLUGIN.fullmatch(plugin):
                raise HTTPError(404, "there are no such settings")
            own.settings_dir = str(mine / "settings")
            own.overrides = {**own.overrides, **{id: {**own.overrides.get(id, {}), **QUIET[id]} for id in QUIET}}
            size_max = SETTINGS_BYTES_MAX
        elif kind == "WorkspacesHandler":
            own.manager = type(own.manager)(str(mine / "layouts"))
            size_max = LAYOUT_BYTES_MAX
        else:
            raise HTTPError(403, "not allowed")
        if handler.request.method == "PUT":
            if len(handler.request.body) > size_max:
                raise HTTPError(413, f"more than {size_max} bytes")
            if kind == "WorkspacesHandler" and _is_full(mine / "layouts"):
                raise HTTPError(413, f"there are {LAYOUTS_MAX} layouts: delete some of them first")
            mine.mkdir(mode=0o700, parents=True, exist_ok=True)


def _is_full(directory: Path) -> bool:
    """Then none can be changed either: which file a name stands for is JupyterLab's to know."""
    return directory.is_dir() and sum(1 for _ in directory.iterdir()) >= LAYOUTS_MAX


def without_builds(hook: Callable[[Any, dict[str, Any]], dict[str, Any]]) -> Any:
    """A `page_config_hook`: only admins can build JupyterLab anew, so other pages do not ask whether it should be."""

    def page(handler: Any, page_config: dict[str, Any]) -> dict[str, Any]:
        page_config = hook(handler, page_config)
        principal = getattr(getattr(handler, "_passed", None), "principal", None)
        if principal is not None and principal.admin:
            return page_config
        return {**page_config, "buildAvailable": False, "buildCheck": False}

    return page
