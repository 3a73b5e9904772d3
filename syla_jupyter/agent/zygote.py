"""The zygote: an interpreter that has imported ipykernel once, and forks a kernel from that state on request.

Run as a script by the agent, with the number of a SOCK_SEQPACKET descriptor (see zygote_link). It stays
single-threaded: a module whose import leaves threads running that a fork would lose is not preloaded, which a
trial import in a forked child finds out, crashes and endless loops included. Before the first fork the heap
is frozen out of the garbage collector, so that children do not copy pages just by collecting.

With `--fresh CLAIM CHANNEL PREFIX` it does not fork: it becomes a kernel itself, from a clean interpreter. That is
what a spare does when the user's own packages shadow what it has already imported.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
PACKET_MAX = 64 * 1024
TRIAL_SECONDS = 20.0


def load(name: str) -> Any:
    """A file beside this one, under a name that no module of the user can have by accident."""
    known = sys.modules.get("_syla_" + name)
    if known is None:
        spec = importlib.util.spec_from_file_location("_syla_" + name, os.path.join(HERE, name + ".py"))
        assert spec is not None
        assert spec.loader is not None
        known = sys.modules["_syla_" + name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(known)
    return known


def put_user_site_first() -> None:
    """The user site is on the path whether it exists yet or not: `pip install` in a cell works at once."""
    import site

    user_site = site.getusersitepackages()
    if user_site in sys.path:
        sys.path.remove(user_site)
    places = [i for i, p in enumerate(sys.path) if p.endswith(("site-packages", "dist-packages"))]
    sys.path.insert(places[0] if places else len(sys.path), user_site)


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def trial(module: str) -> str:
    """Import in a child; "" when kernels may be forked after it, else why not."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            importlib.import_module(module)
            grandchild = os.fork()  # runs the at-fork handlers: a library that knows of fork stops its threads
            if grandchild == 0:
                os._exit(0)
            os.waitpid(grandchild, 0)
            code = 0 if threads() == 1 else 3
        except BaseException as exc:
            code = 4 if isinstance(exc, ImportError) else 1
        os._exit(code)
    until = time.monotonic() + TRIAL_SECONDS
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return "importing it took longer than %d s" % TRIAL_SECONDS
        time.sleep(0.01)
    if os.WIFSIGNALED(status):
        return "importing it crashed (signal %d)" % os.WTERMSIG(status)
    return {0: "", 3: "it leaves threads running, which do not survive a fork", 4: "it cannot be imported"}.get(
        os.WEXITSTATUS(status), "importing it failed"
    )


class Zygote:
    def __init__(self, fd: int) -> None:
        self.socket: Any = socket.socket(fileno=fd)
        self.wake_read, self.wake_write = os.pipe()
        for end in (self.wake_read, self.wake_write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def tell(self, **packet: object) -> None:
        self.socket.send(json.dumps(packet).encode())

    def run(self) -> None:
        self.tell(ready=True)
        while True:
            ready, _, _ = select.select([self.socket, self.wake_read], [], [])
            if self.wake_read in ready:
                os.read(self.wake_read, 4096)
                self.reap()
            if self.socket in ready:
                data, fds, _flags, _ = socket.recv_fds(self.socket, PACKET_MAX, 4)
                if not data:
                    return
                packet = json.loads(data.decode())
                if "fork" in packet:
                    self.fork(packet, fds)
                elif "preload" in packet:
                    self.preload(packet["preload"])

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.tell(exit=pid, status=status)

    def preload(self, module: str) -> None:
        reason = "" if module in sys.modules else trial(module)
        if not reason:
            try:
                importlib.import_module(module)
            except BaseException as exc:
                reason = "importing it failed: %s" % type(exc).__name__
        gc.collect()
        gc.freeze()
        self.tell(preloaded=module, ok=not reason, reason=reason)

    def fork(self, packet: dict, fds: list) -> None:  # type: ignore[type-arg]
        try:
            pid = os.fork()
        except OSError as exc:
            for fd in fds:
                os.close(fd)
            self.tell(failed=packet["fork"], message="cannot fork: %s" % exc.strerror)
            return
        if pid:
            for fd in fds:
                os.close(fd)
            self.tell(forked=packet["fork"], pid=pid)
            return
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self.socket.close()
        os.close(self.wake_read)
        os.close(self.wake_write)
        channel, stderr = fds
        os.dup2(stderr, 1)
        os.dup2(stderr, 2)
        os.close(stderr)
        become_kernel(channel, packet["prefix"], None)


def become_kernel(channel: int, prefix: str, claim: object) -> None:
    """In the process that is to be the kernel; does not return."""
    code = 1
    try:
        load("spare").run(channel, prefix, claim, load)
        code = 0
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc(file=sys.__stderr__)
    finally:
        try:
            import atexit
            import threading

            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
            sys.__stdout__.flush()  # type: ignore[union-attr]
            sys.__stderr__.flush()  # type: ignore[union-attr]
        except BaseException:
            pass
        os._exit(code)


def main() -> None:
    if sys.path and os.path.abspath(sys.path[0]) == HERE:
        del sys.path[0]
    put_user_site_first()
    spare, procself = load("spare"), load("procself")
    load("lazy_debugger")
    if sys.argv[1] == "--fresh":
        claim_fd, channel, prefix = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
        with os.fdopen(claim_fd, "rb") as file:
            claim = json.loads(file.read().decode())
        become_kernel(channel, prefix, claim)
    os.setsid()
    procself.die_with_parent(signal.SIGKILL)
    procself.set_dumpable(False)  # nobody traces the interpreter that others come from
    gc.disable()  # nothing that is imported becomes garbage; collecting meanwhile is a tenth of the time
    spare.import_ipykernel()
    for name in ("offline", "journal", "spool", "replies", "variables"):
        load(name)  # what every spare uses: imported once, its pages shared
    gc.enable()
    gc.freeze()
    Zygote(int(sys.argv[1])).run()


if __name__ == "__main__":
    main()
