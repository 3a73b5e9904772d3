"""The one table of gates: for each route that this server may have, what it takes to pass. Pure.

A gate belongs to the handler class and the pattern of a route, as the server itself has them; both have to be the ones
expected. For each method it says who may pass:

    PUBLIC   anybody
    USER     anybody with a name; where it lists, only what he may read is in the list
    HOST     admins of the server
    asks     whoever has these permissions on these workspaces, all of them

A route or a method that is not here is for admins. Some are open to more people than may have all of them: a kernel's
websocket is anybody's who may read, and only who may execute as well sends something (`screened`); of a document's only
who may write as well changes it (`room_socket`); a file that somebody may not write says so, and JupyterLab shows it
read-only.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..model.people import Permission

READ, WRITE, EXECUTE = Permission.READ, Permission.WRITE, Permission.EXECUTE


class Level(enum.Enum):
    PUBLIC = "public"
    USER = "user"
    HOST = "host"


class Source(enum.Enum):
    """Where a request names workspaces."""

    PATH = "the path in the address"
    LISTED_PATH = "the path in the address; the two directories above all workspaces are everybody's to list"
    BODY_PATH = "`path` in the body, and `notebook.path`"
    NEW_PATH = "the same; without one, the root directory"
    COPIED_PATH = "`copy_from` in the body"
    KERNEL = "the kernel in the address"
    BODY_KERNEL = "`kernel.id` in the body"
    SESSION = "the session in the address: its path and its kernel"
    TERMINAL = "the terminal in the address"
    BODY_CWD = "`cwd` in the body; without one, the root directory"
    WORKSPACE = "the workspace in the address"
    ROOM = "the path of the document whose room is in the address; who is where (`rooms.GLOBAL`) is in no workspace"


@dataclass(frozen=True)
class Ask:
    permission: Permission
    source: Source


Rule = Level | tuple[Ask, ...]
Listing = Literal["", "kernels", "sessions", "terminals", "contents"]


@dataclass(frozen=True)
class Gate:
    handler: str
    """Name of the class."""
    pattern: str
    """As the route's, without the end mark; below the server's base."""
    rules: Mapping[str, Rule]
    """By method."""
    lists: Listing = ""
    """What an answer to GET is a list of."""
    full: tuple[Ask, ...] = ()
    """Who may do less passes too, and the handler lets him do less."""
    checks_login: bool = False
    """The handler finds out itself whether it answers nobody in particular."""
    own: bool = False
    """The server has one of it, which is its owner's; everybody else gets one of his own (`own_pages`)."""
    quiet: bool = False
    """A websocket on which only admins hear something: to others it is open, so that their pages do not try again."""


def _asks(permission: Permission, *sources: Source) -> tuple[Ask, ...]:
    return tuple(Ask(permission, source) for source in sources)


_PATH = r"(?P<path>(?:(?:/[^/]+)+|/?))"
_ID = r"(?P<{}>\w+-\w+-\w+-\w+-\w+)"
_KERNEL, _SESSION = _ID.format("kernel_id"), _ID.format("session_id")
P, U, H = Level.PUBLIC, Level.USER, Level.HOST
S = Source
_PUBLIC_FILE: Mapping[str, Rule] = {"GET": P, "HEAD": P}
_EVERY = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_HOST_ALL: Mapping[str, Rule] = dict.fromkeys(_EVERY, H)

JUPYTER: Sequence[Gate] = (
    # Files
    Gate("CheckpointsHandler", rf"/api/contents{_PATH}/checkpoints",
         {"GET": _asks(READ, S.PATH), "POST": _asks(WRITE, S.PATH)}),
    Gate("ModifyCheckpointsHandler", rf"/api/contents{_PATH}/checkpoints/(?P<checkpoint_id>[\w-]+)",
         {"POST": _asks(WRITE, S.PATH), "DELETE": _asks(WRITE, S.PATH)}),
    Gate("TrustNotebooksHandler", rf"/api/contents{_PATH}/trust", {"POST": _asks(READ, S.PATH)}),
    Gate("ContentsHandler", rf"/api/contents{_PATH}",
         {"GET": _asks(READ, S.LISTED_PATH), "PUT": _asks(WRITE, S.PATH), "DELETE": _asks(WRITE, S.PATH),
          "PATCH": _asks(WRITE, S.PATH, S.BODY_PATH),
          "POST": (*_asks(WRITE, S.PATH), *_asks(READ, S.COPIED_PATH))}, lists="contents", full=_asks(WRITE, S.PATH)),
    Gate("NotebooksRedirectHandler", r"/api/notebooks/?(.*)", dict.fromkeys(_EVERY, U)),
    Gate("WorkspaceFileHandler", r"/files/(.*)", {"GET": _asks(READ, S.PATH), "HEAD": _asks(READ, S.PATH)}),
    Gate("AuthenticatedFileHandler", r"/files/(.*)", {"GET": _asks(READ, S.PATH), "HEAD": _asks(READ, S.PATH)}),
    Gate("ViewHandler", rf"/view{_PATH}", {"GET": _asks(READ, S.PATH)}),
    Gate("NbconvertFileHandler", rf"/nbconvert/(?P<format>\w+){_PATH}", {"GET": _asks(READ, S.PATH)}),
    Gate("NbconvertPostHandler", r"/nbconvert/(?P<format>\w+)", {"POST": U}),
    Gate("NbconvertRootHandler", r"/api/nbconvert", {"GET": U}),
    # Kernels
    Gate("MainKernelHandler", r"/api/kernels", {"GET": U, "POST": _asks(EXECUTE, S.NEW_PATH)}, lists="kernels"),
    Gate("KernelHandler", rf"/api/kernels/{_KERNEL}",
         {"GET": _asks(READ, S.KERNEL), "DELETE": _asks(EXECUTE, S.KERNEL)}),
    Gate("KernelActionHandler", rf"/api/kernels/{_KERNEL}/(?P<action>restart|interrupt)",
         {"POST": _asks(EXECUTE, S.KERNEL)}),
    Gate("ExecuteHandler", rf"/api/kernels/{_KERNEL}/execute", {"POST": _asks(EXECUTE, S.KERNEL)}),
    Gate("KernelWebsocketHandler", rf"/api/kernels/{_KERNEL}/channels", {"GET": _asks(READ, S.KERNEL)},
         full=_asks(EXECUTE, S.KERNEL)),
    Gate("SessionRootHandler", r"/api/sessions",
         {"GET": U, "POST": _asks(EXECUTE, S.NEW_PATH, S.BODY_KERNEL)}, lists="sessions"),
    Gate("SessionHandler", rf"/api/sessions/{_SESSION}",
         {"GET": _asks(READ, S.SESSION), "DELETE": _asks(EXECUTE, S.SESSION),
          "PATCH": _asks(EXECUTE, S.SESSION, S.BODY_PATH, S.BODY_KERNEL)}),
    Gate("MainKernelSpecHandler", r"/api/kernelspecs", {"GET": U}),
    Gate("KernelSpecHandler", r"/api/kernelspecs/(?P<kernel_name>[\w\.\-%]+)", {"GET": U}),
    Gate("KernelSpecResourceHandler", r"/kernelspecs/(?P<kernel_name>[\w\.\-%]+)/(?P<path>.*)", {"GET": U, "HEAD": U}),
    # Terminals: ours, by the routes of Jupyter's
    Gate("TerminalsHandler", r"/api/terminals", {"GET": U, "POST": _asks(EXECUTE, S.BODY_CWD)}, lists="terminals"),
    Gate("TerminalHandler", r"/api/terminals/(\w+)",
         {"GET": _asks(READ, S.TERMINAL), "DELETE": _asks(EXECUTE, S.TERMINAL)}),
    Gate("TerminalSocket", r"/terminals/websocket/(\w+)", {"GET": _asks(EXECUTE, S.TERMINAL)}),
    # The server
    Gate("IdentityHandler", r"/api/me", {"GET": U, "PATCH": U}),
    Gate("APISpecHandler", r"/api/spec.yaml", {"GET": U, "HEAD": U}),
    Gate("APIVersionHandler", r"/api", {"GET": P}),
    Gate("APIStatusHandler", r"/api/status", {"GET": H}),
    Gate("PathResolverHandler", r"/api/resolvePath", {"GET": H}),
    Gate("ConfigHandler", r"/api/config/(?P<section_name>\w+)", {"GET": U, "PUT": H, "PATCH": H}),
    Gate("CSPReportHandler", r"/api/security/csp-report", {"POST": U}),
    Gate("ShutdownHandler", r"/api/shutdown", {"POST": H}),
    Gate("EventHandler", r"/api/events", {"POST": H}),
    Gate("SubscribeWebsocket", r"/api/events/subscribe", {"GET": U}, quiet=True),  # it tells of everybody's files
    Gate("PrometheusMetricsHandler", r"/metrics", {"GET": H}, checks_login=True),
    Gate("LoginFormHandler", r"/login", {"GET": P, "POST": P}),
    Gate("LogoutHandler", r"/logout", {"GET": P}),
    Gate("JupyterHubLogoutHandler", r"/logout", {"GET": P}),
    Gate("JupyterHubOAuthCallbackHandler", r"/oauth_callback", {"GET": P}),  # by which a person logs in there
    Gate("JoinPageHandler", r"/syla/join", {"GET": P}),  # the same for all, and loads nothing
    Gate("MainHandler", r"/", {"GET": P, "POST": P, "PUT": P}),  # a redirection
    Gate("TrailingSlashHandler", r"/.*/", {"GET": P, "POST": P, "PUT": P}),
    Gate("Template404", r"(.*)", dict.fromkeys(_EVERY, P)),
    Gate("FileFindHandler", r"/static/(.*)", _PUBLIC_FILE),
    Gate("FileFindHandler", r"/static/lab/(.*)", _PUBLIC_FILE),
    Gate("FileFindHandler", r"/(robots\.txt)", _PUBLIC_FILE),
    Gate("FileFindHandler", r"/(favicon\.ico)", _PUBLIC_FILE),
    Gate("PublicStaticFileHandler", r"/(robots\.txt|favicon\.ico)", _PUBLIC_FILE),
    # JupyterLab
    Gate("LabHandler", r"/(?P<mode>lab|doc)(?P<workspace>/workspaces/[a-zA-Z0-9\-\_]+)?(?P<tree>/tree/.*)?",
         {"GET": U}),
    Gate("NotFoundHandler", r"/lab/.*", {"GET": U}),
    Gate("FileFindHandler", r"/lab/extensions/(.*)", _PUBLIC_FILE),
    Gate("ThemesHandler", r"/lab/api/themes/(.*)", _PUBLIC_FILE),
    Gate("SettingsHandler", r"/lab/api/settings/?", {"GET": U, "PUT": H}, own=True),
    Gate("SettingsHandler", r"/lab/api/settings/(?P<schema_name>.+)", {"GET": U, "PUT": U}, own=True),
    Gate("TranslationsHandler", r"/lab/api/translations/?", {"GET": U}),
    Gate("TranslationsHandler", r"/lab/api/translations/(?P<locale>.*)", {"GET": U}),
    Gate("ListingsHandler", r"/lab/api/listings/(.*)", {"GET": U}),
    Gate("LicensesHandler", r"/lab/api/licenses/(.*)", {"GET": U}),
    Gate("WorkspacesHandler", r"/lab/api/workspaces/?", {"GET": U, "PUT": H, "DELETE": H}, own=True),
    Gate("WorkspacesHandler", r"/lab/api/workspaces/(?P<space_name>.+)", {"GET": U, "PUT": U, "DELETE": U}, own=True),
    Gate("BuildHandler", r"/lab/api/build", _HOST_ALL),
    Gate("ExtensionHandler", r"/lab/api/extensions", _HOST_ALL),
    Gate("PluginHandler", r"/lab/api/plugins", _HOST_ALL),
    Gate("CheckForUpdateHandler", r"/lab/api/update", {"GET": H}),
    Gate("NewsHandler", r"/lab/api/news", {"GET": H}),
    # Documents that several edit. Copies of them, and histories, stay in memory until the server ends: an admin's.
    Gate("DocSessionHandler", r"/api/collaboration/session/(.*)", {"PUT": _asks(READ, S.PATH)}),
    Gate("YDocWebSocketHandler", r"/api/collaboration/room/(.*)", {"GET": _asks(READ, S.ROOM)},
         full=_asks(WRITE, S.ROOM)),
    Gate("DocForkHandler", r"/api/collaboration/fork/(.*)", {"GET": H, "PUT": H, "DELETE": H}),
    Gate("TimelineHandler", r"/api/collaboration/timeline/(.*)", {"GET": H}),
    Gate("UndoRedoHandler", r"/api/collaboration/undo_redo/(.*)", {"PUT": H}),
    Gate("FileIDHandler", r"/api/fileid/id", {"GET": H}),  # pages do without
    Gate("FilePathHandler", r"/api/fileid/path", {"GET": H}),
)  # fmt: skip


class Gates:
    """`base_url`: of the server, `/` or with `/` at both ends."""

    def __init__(self, gates: Sequence[Gate], base_url: str) -> None:
        base = re.escape(base_url.rstrip("/"))
        self._gates: dict[str, list[tuple[re.Pattern[str], Gate]]] = {}
        for gate in gates:
            row = (re.compile(f"{base}{gate.pattern}"), gate)
            self._gates.setdefault(gate.handler, []).append(row)

    def find(self, handler: str, path: str) -> Gate | None:
        """Of a request that the server gives to that class; `path` as it came, escapes and all."""
        for pattern, gate in self._gates.get(handler, ()):
            if pattern.fullmatch(path):
                return gate
        return None


def rule_of(gate: Gate | None, method: str) -> Rule:
    if gate is None:
        return Level.HOST
    if method == "OPTIONS":
        return Level.PUBLIC  # says what may be asked from elsewhere, and does nothing
    return gate.rules.get(method, Level.HOST)
