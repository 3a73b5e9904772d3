"""A kernel before and after it is claimed.

Before: a new session and process group, its own sockets bound at `<prefix>-1` … `-5`, ipykernel and its shell fully
built, its event loop running, one silent request answered; it waits, in that loop, on its channel to the agent. The
claim brings what only the user's start knows:

    {"key": hex, "cwd": path, "env": {...}, "restore_variables": text or null}

It is applied, variables saved under that key are brought back, and it is answered with {"ok": true}, where there were
any with their number by status as "restored". An end of file instead of a claim means nobody wants it: it leaves
quietly. Random generators are seeded afresh: numpy's global one would otherwise give every kernel of a container the
same numbers. String hashing keeps the zygote's seed, which is fresh for each container.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import socket
import sys
from typing import Any, Callable, Dict, List, Optional

PACKET_MAX = 256 * 1024  # more than a socket takes: a claim arrives whole or not at all
WARM_UP_SECONDS = 5
WELCOME_SECONDS = 0.5
SUBSCRIBE_ATTEMPTS = 8
OUTPUT_MAX = 20_000  # messages for each reader, in the container's memory; beyond that a publisher drops
BOUND = b'{"bound": true}'
SOCKETS = {"shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5}


# What building a kernel imports besides ipykernel itself; imported once, in the zygote.
ALONG = (
    "ipykernel.zmqshell",
    "ipykernel.ipkernel",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.logger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "encodings.idna",
    "faulthandler",
    "sqlite3",
    "tornado.platform.asyncio",
    "tornado.queues",
    "zmq.utils.monitor",
)
# Slower, and not needed by the first kernel: the zygote preloads it after that.
LATER = "ipykernel.debugger"


def import_ipykernel() -> None:
    """Everything a kernel needs up to its first cell; parts that another version does not have are left out."""
    import ipykernel.kernelapp  # noqa: F401

    for name in ALONG:
        try:
            importlib.import_module(name)
        except ImportError:
            pass


def seed_generators() -> None:
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def shadowed(directory: str) -> List[str]:
    """Modules already imported that the user has a version of his own of in `directory`."""
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    tops = {name.partition(".")[0] for name in names if not name.endswith((".dist-info", ".egg-info", ".pth"))}
    # A copy: the kernel's other threads import meanwhile.
    loaded = {name.partition(".")[0] for name, module in sys.modules.copy().items() if not _from(module, directory)}
    return sorted(tops & loaded - {"__pycache__"})


def _from(module: Any, directory: str) -> bool:
    return str(getattr(module, "__file__", None) or "").startswith(directory + os.sep)


def start_fresh(claim: Dict[str, Any], channel: int, prefix: str) -> None:
    """Become a kernel from a clean interpreter, with the user's own packages; same pid, same channel."""
    memory = os.memfd_create("claim")
    os.write(memory, json.dumps(claim).encode())
    os.lseek(memory, 0, os.SEEK_SET)
    for fd in (memory, channel):
        os.set_inheritable(fd, True)
    os.environ.update(claim.get("env") or {})
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "zygote.py")
    os.execv(sys.executable, [sys.executable, script, "--fresh", str(memory), str(channel), prefix])


def build_app(prefix: str) -> Any:
    from ipykernel.kernelapp import IPKernelApp

    sys.argv = ["ipykernel_launcher", "-f", prefix + ".json"]
    app: Any = IPKernelApp.instance(
        connection_file=prefix + ".json", transport="ipc", ip=prefix, parent_handle=1, **SOCKETS
    )
    give_output_room(app)
    app.initialize(sys.argv[1:])
    if app.shell is not None:
        app.shell.display_formatter.format(None)  # makes the formatters, which the first value shown would wait for
    return app


def give_output_room(app: Any) -> None:
    """Output that its readers are not ready for waits here, in the container; the server takes little of it ahead."""
    import zmq

    bind = app._bind_socket

    def bind_with_room(socket: Any, port: int) -> Any:
        if socket.socket_type == zmq.XPUB:
            socket.setsockopt(zmq.SNDHWM, OUTPUT_MAX)
        return bind(socket, port)

    app._bind_socket = bind_with_room


def warm_up(app: Any, done: Callable[[], None]) -> None:
    """In a thread, while the kernel's loop runs: one silent execute request through its own sockets.

    The first request of a kernel takes 10 ms longer than the next. This one is over before anybody waits for it, and
    leaves nothing behind, not even in the history or the execution count. And of kernels that are started thirty at
    once, about one in three hundred never serves the first subscriber to its output, and every later one (seen with
    ipykernel 7.4): the first is us, not the user. `done` is called whatever happens.
    """
    import zmq
    from jupyter_client.session import Session

    context = zmq.Context()
    try:
        session = Session(key=app.session.key, signature_scheme=app.session.signature_scheme)
        iopub = subscribed(context, "ipc://%s-%d" % (app.ip, app.iopub_port))
        if iopub is None:
            return
        shell = context.socket(zmq.DEALER)
        shell.connect("ipc://%s-%d" % (app.ip, app.shell_port))
        content = {"code": "None", "silent": True, "store_history": False, "user_expressions": {}}
        session.send(shell, "execute_request", dict(content, allow_stdin=False, stop_on_error=True))
        # Until its last message is out: none signed with the old key may follow the claim.
        while iopub.poll(WARM_UP_SECONDS * 1000):
            if b'"idle"' in iopub.recv_multipart()[-1]:
                break
    finally:
        done()
        context.destroy(linger=0)


def subscribed(context: Any, url: str) -> Any:
    """A subscriber that has been welcomed; None when no attempt was."""
    import zmq

    for _ in range(SUBSCRIBE_ATTEMPTS):
        socket = context.socket(zmq.SUB)
        socket.subscribe(b"")
        socket.connect(url)
        if socket.poll(WELCOME_SECONDS * 1000):
            socket.recv_multipart()
            return socket
        socket.close(linger=0)
    return None


def apply_claim(claim: Dict[str, Any], app: Any) -> None:
    os.chdir(claim["cwd"])
    os.environ.update(claim.get("env") or {})
    os.environ["PWD"] = claim["cwd"]
    for place in reversed(os.environ.get("PYTHONPATH", "").split(os.pathsep)):
        if place and place not in sys.path:
            sys.path.insert(1, place)
    if "TZ" in (claim.get("env") or {}):
        import time

        time.tzset()
    session_name = os.environ.get("JPY_SESSION_NAME")
    if session_name and app.shell is not None:
        app.shell.user_ns["__session__"] = session_name  # as ipykernel does when it is built with it
    app.session.key = bytes.fromhex(claim["key"])
    try:
        os.unlink(app.abs_connection_file)  # it held the key nobody ever used
    except OSError:
        pass
    app.write_connection_file()
    importlib.invalidate_caches()
    seed_generators()


def add_user_packages(user_site: str) -> None:
    """`.pth` files of the user site, which the zygote could not know.

    Made where it is missing: an import does not look again where there was no directory when it first looked.
    """
    import site

    try:
        os.makedirs(user_site, exist_ok=True)
    except OSError:
        pass  # a home that cannot be written: nothing will be installed there either
    if os.path.isdir(user_site):
        before = list(sys.path)
        site.addsitedir(user_site)
        sys.path[:] = before + [p for p in sys.path if p not in before]


def run(channel_fd: int, prefix: str, claim: Optional[Dict[str, Any]], load: Callable[[str], Any]) -> None:
    """Be a kernel; returns when it has been shut down. `load` gives files beside this one."""
    procself = load("procself")
    load("lazy_debugger").put_in_place()

    if claim is None:
        os.setsid()
        procself.set_dumpable(True)
        procself.set_oom_score(procself.OOM_SCORE)
        seed_generators()
    channel = socket.socket(fileno=channel_fd)
    app = build_app(prefix)
    arm = load("offline").install(app, load)
    kernel = Claimable(app, channel, prefix, arm, load("variables").install(app, load))
    if claim is None:
        kernel.wait_in_loop()
    else:
        kernel.claimed(claim)
    app.start()


class Claimable:
    """A kernel whose loop runs already, and that waits in it for its claim."""

    def __init__(
        self, app: Any, channel: socket.socket, prefix: str, arm: Callable[[], None], variables: Optional[Any]
    ) -> None:
        """`arm` is called once the claim has been applied."""
        self._app, self._channel, self._prefix, self._arm = app, channel, prefix, arm
        self._variables = variables

    def wait_in_loop(self) -> None:
        import threading

        from tornado.ioloop import IOLoop

        self._loop = IOLoop.current()
        self._loop.add_handler(self._channel.fileno(), lambda *_: self._readable(), IOLoop.READ)
        announce = (self._app, lambda: self._channel.send(BOUND))
        threading.Thread(target=warm_up, args=announce, daemon=True).start()

    def _readable(self) -> None:
        self._loop.remove_handler(self._channel.fileno())
        data = self._channel.recv(PACKET_MAX)
        if not data:
            os._exit(0)
        self.claimed(json.loads(data.decode()), fresh_if_shadowed=True)

    def claimed(self, claim: Dict[str, Any], fresh_if_shadowed: bool = False) -> None:
        """What fails is told: the event loop would log it and go on, and the start would wait for its time limit."""
        import site

        try:
            if fresh_if_shadowed and shadowed(site.getusersitepackages()):
                start_fresh(claim, self._channel.fileno(), self._prefix)
            add_user_packages(site.getusersitepackages())
            apply_claim(claim, self._app)
            self._arm()
            answer: Dict[str, Any] = {"ok": True}
            if claim.get("restore_variables") and self._variables is not None:
                answer["restored"] = self._variables.restore(claim["restore_variables"])
        except Exception as exc:
            message = "%s: %s" % (getattr(exc, "strerror", type(exc).__name__), getattr(exc, "filename", exc))
            self._channel.send(json.dumps({"ok": False, "message": message[:500]}).encode())
            os._exit(1)
        self._channel.send(json.dumps(answer).encode())
        self._channel.close()
