"""What an API path names: a workspace, and names below its directory. Pure: nothing is looked up.

    workspaces/<name>/a/b   a/b in workspace <name>
    workspaces              the directory that holds the workspaces, and nothing else
    anything else           in the default workspace, whose directory is the server's root

A workspace's directory is where links end: whatever the path, they are followed inside of it only.
"""

from __future__ import annotations

import errno
import posixpath
from dataclasses import dataclass

from ..workspaces.placement import WORKSPACES_DIR


@dataclass(frozen=True)
class ApiPath:
    top: tuple[str, ...]
    """Names from the server's root to the workspace's directory; empty: the root itself."""
    names: tuple[str, ...]
    """From there on; never `..`. Empty: the workspace's directory itself."""

    @property
    def barred(self) -> str:
        """The name directly below `top` that leads into other workspaces."""
        return "" if self.top else WORKSPACES_DIR

    @property
    def hidden(self) -> bool:
        return any(name.startswith(".") for name in self.top + self.names)

    @property
    def text(self) -> str:
        return "/".join(self.top + self.names)


def parse(path: str) -> ApiPath:
    """`FileNotFoundError` for what cannot be the path of anything here."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise FileNotFoundError(errno.ENOENT, "not a path") from None
    parts = [part for part in posixpath.normpath(path.strip("/")).split("/") if part not in ("", ".")]
    if "\0" in path or ".." in parts:  # normpath leaves `..` only where it leads above the root
        raise FileNotFoundError(errno.ENOENT, "outside of the server's directory")
    depth = min(len(parts), 2) if parts[:1] == [WORKSPACES_DIR] else 0
    if depth == 2 and parts[1].startswith("."):  # archived workspaces, one beside the other
        raise FileNotFoundError(errno.ENOENT, "not a workspace")
    return ApiPath(tuple(parts[:depth]), tuple(parts[depth:]))


def protected(path: str) -> str:
    """Why what `path` names cannot be made, renamed or deleted as a file; empty: it can."""
    parsed = parse(path)
    if not parsed.top or parsed.names:
        return ""
    if len(parsed.top) == 1:
        return f"{parsed.text}: this directory holds the workspaces. Use `syla workspace` to change what is in it"
    return f"{parsed.text}: a workspace's directory. Use `syla workspace create|archive|delete`"
