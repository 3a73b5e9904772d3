"""A kernel before and after it is claimed.

Before: a new session and process group, its own sockets bound at `<prefix>-1` … `-5`, ipykernel and its shell
fully built; then it waits on its channel to the agent. The claim brings what only the user's start knows:

    {"key": hex, "cwd": path, "env": {...}, "session_name": text}

It is applied, answered with {"ok": true}, and the kernel enters its loop. An end of file instead of a claim
means nobody wants it: it leaves quietly. Random generators are seeded afresh: numpy's global one would
otherwise give every kernel of a container the same numbers. String hashing keeps the zygote's seed, which is
fresh for each container.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import socket
import sys
from typing import Any, Callable, Dict, List, Optional

PACKET_MAX = 192 * 1024
SOCKETS = {"shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5}


# What building a kernel imports besides ipykernel itself; imported once, in the zygote.
ALONG = (
    "ipykernel.zmqshell",
    "ipykernel.ipkernel",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "encodings.idna",
    "faulthandler",
    "sqlite3",
    "tornado.platform.asyncio",
    "tornado.queues",
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
    loaded = {name.partition(".")[0] for name, module in sys.modules.items() if not _from(module, directory)}
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
    app.initialize(sys.argv[1:])
    return app


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
    app.session.key = bytes.fromhex(claim["key"])
    try:
        os.unlink(app.abs_connection_file)  # it held the key nobody ever used
    except OSError:
        pass
    app.write_connection_file()
    importlib.invalidate_caches()
    seed_generators()


def add_user_packages(user_site: str) -> None:
    """`.pth` files of the user site, which the zygote could not know."""
    import site

    if os.path.isdir(user_site):
        before = list(sys.path)
        site.addsitedir(user_site)
        sys.path[:] = before + [p for p in sys.path if p not in before]


def run(channel_fd: int, prefix: str, claim: Optional[Dict[str, Any]], load: Callable[[str], Any]) -> None:
    """Be a kernel; returns when it has been shut down. `load` gives files beside this one."""
    import site

    procself = load("procself")
    load("lazy_debugger").put_in_place()

    if claim is None:
        os.setsid()
        procself.set_dumpable(True)
        procself.set_oom_score(procself.OOM_SCORE)
        seed_generators()
    channel = socket.socket(fileno=channel_fd)
    app = build_app(prefix)
    user_site = site.getusersitepackages()
    if claim is None:
        channel.send(b'{"bound": true}')
        data = channel.recv(PACKET_MAX)
        if not data:
            os._exit(0)
        claim = json.loads(data.decode())
        assert isinstance(claim, dict)
        if shadowed(user_site):
            start_fresh(claim, channel.detach(), prefix)
    add_user_packages(user_site)
    try:
        apply_claim(claim, app)
    except OSError as exc:
        channel.send(json.dumps({"ok": False, "message": "%s: %s" % (exc.strerror, exc.filename)}).encode())
        os._exit(1)
    channel.send(b'{"ok": true}')
    channel.close()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    app.start()
