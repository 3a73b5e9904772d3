"""Variables of a kernel, saved and brought back. This is the part that lives in the kernel.

On the control channel:

    syla_variables_save_request    {"key": text, "seconds": number, "bytes": number}
    syla_variables_save_reply      {"status": "ok", "variables": [...], "total": n, "pause_seconds", "seconds",
                                   "new_bytes", "stored_bytes", "busy": bool}, or {"status": "error", "reason": text}
    syla_variables_report_request  {}
    syla_variables_report_reply    {"status": "ok", "restored": bool, "variables": [...], "total", "seconds",
                                   "saved_at", "changed": [line]}

A variable is {"name", "status": saved | partial | recreated | lost, "type", "bytes", "reason", "notes": [line]}.

Saving forks: by the main thread where it is idle (its stack can grow, and what belongs to a thread belongs to it), else
by one of ours. The kernel stands still for that, and no longer. Bringing back happens in a new kernel before its claim
is answered, so that nobody can ask it anything before its variables are there.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
import time
import uuid
import warnings
from typing import Any, Callable, Dict, List, Optional

VARIABLES_MAX = 500
REPLY_BYTES_MAX = 4 << 20
IDLE_SECONDS = 0.1
"""For the main thread to fork."""
AFTER_SECONDS = 5.0
"""For the saver to come to an end after its time."""
ORDER = {"lost": 0, "partial": 1, "recreated": 2, "saved": 3}


class Variables:
    def __init__(self, app: Any, load: Callable[[str], Any]) -> None:
        self._app, self._load = app, load
        self._session = app.session
        self._token = uuid.uuid4().hex
        self._saving = threading.Lock()
        self._restored: Optional[Dict[str, Any]] = None
        handlers = app.kernel.control_handlers
        handlers["syla_variables_save_request"] = self._save
        handlers["syla_variables_report_request"] = self._report

    # -- bringing back -------------------------------------------------------------------------------------------------

    def restore(self, key: object) -> Dict[str, int]:
        """Into the namespace, on the main thread; how many of each status, none where there is nothing."""
        if not isinstance(key, str):
            return {}
        try:
            stores = self._load("variables_store")
            self._load("variables_rebuild")
            store = stores.Store(stores.place_of(key))
            loader = self._load("variables_loader")
            restoring = loader.Restoring(store, self._load("variables_text").short)
            manifest = restoring.run(self._app.shell.user_ns)
            if manifest is None:
                return {}
            count = manifest.get("execution_count")
            if isinstance(count, int) and 0 < count < 1 << 31:
                self._app.shell.execution_count = count
            self._restored = restoring.report
        except Exception as exc:  # what it is does not matter: the kernel starts without
            self._restored = {"variables": {}, "failed": "%s: %s" % (type(exc).__name__, exc)}
            return {"failed": 1}
        counts: Dict[str, int] = {}
        for one in restoring.report["variables"].values():
            counts[one["status"]] = counts.get(one["status"], 0) + 1
        return counts

    def _report(self, stream: Any, ident: Any, request: Any) -> None:
        known = self._restored
        content: Dict[str, Any] = {"status": "ok", "restored": known is not None}
        if known is not None:
            content.update(listed(known["variables"]))
            content.update({name: known.get(name) for name in ("seconds", "saved_at", "changed", "failed")})
        self._session.send(stream, "syla_variables_report_reply", content, request, ident)

    # -- saving --------------------------------------------------------------------------------------------------------

    def _save(self, stream: Any, ident: Any, request: Any) -> None:
        def reply(content: Dict[str, Any]) -> None:
            self._session.send(stream, "syla_variables_save_reply", content, request, ident)

        content = request["content"]
        try:
            directory = self._load("variables_store").place_of(content["key"])
            seconds = min(max(float(content["seconds"]), 0.1), 3600.0)
            stored_bytes = min(max(int(content["bytes"]), 0), 1 << 60)
        except (ValueError, KeyError, TypeError) as exc:
            reply({"status": "error", "reason": "%s: %s" % (type(exc).__name__, exc)})
            return
        if not self._saving.acquire(blocking=False):
            reply({"status": "error", "reason": "they are being saved already"})
            return
        loop = self._app.control_thread.io_loop

        def save() -> None:
            try:
                found = self._saved(directory, seconds, stored_bytes)
            except Exception as exc:
                found = {"status": "error", "reason": "%s: %s" % (type(exc).__name__, str(exc)[:200])}
            finally:
                self._saving.release()
            loop.add_callback(reply, found)

        threading.Thread(target=save, daemon=True, name="syla-variables").start()

    def _saved(self, directory: str, seconds: float, stored_bytes: int) -> Dict[str, Any]:
        began = time.monotonic()
        memory, cgroup = self._load("variables_memory"), self._load("cgroup")
        need, free = memory.fork_needs(), memory.available(cgroup)
        if free < need:
            return {"status": "error", "reason": memory.why_not(need, free)}
        given = self._given(began + seconds, stored_bytes)
        forked = self._fork(lambda writing: self._be_saver(given, directory, writing), given)
        found = self._read(forked["pid"], forked["reading"], began + seconds + AFTER_SECONDS)
        found["pause_seconds"] = forked["seconds"]
        found["seconds"] = time.monotonic() - began
        found["busy"] = not given.main_thread
        return found

    def _given(self, deadline: float, stored_bytes: int) -> Any:
        shell = self._app.shell
        return self._load("variables_worker").Given(shell.user_ns, shell.user_ns_hidden, deadline, stored_bytes)

    def _fork(self, become: Callable[[int], None], given: Any) -> Dict[str, Any]:
        """{pid, reading, seconds}: by the main thread where it comes to it soon, else here."""
        done: Dict[str, Any] = {}
        turn, forked = threading.Lock(), threading.Event()

        def fork(main_thread: bool) -> None:
            if not turn.acquire(blocking=False):
                return
            given.main_thread = main_thread
            try:
                reading, writing = os.pipe()
                with warnings.catch_warnings():  # of Python 3.12: that we have threads
                    warnings.simplefilter("ignore")
                    began = time.perf_counter()
                    pid = os.fork()
                    if pid == 0:
                        try:
                            os.close(reading)
                            become(writing)
                        finally:
                            os._exit(1)
                done.update(pid=pid, reading=reading, seconds=time.perf_counter() - began)
                os.close(writing)
            except OSError as exc:
                done["error"] = "cannot fork: %s" % exc.strerror
            finally:
                forked.set()

        self._app.kernel.io_loop.add_callback(fork, True)
        if not forked.wait(IDLE_SECONDS):
            fork(False)
        forked.wait()
        if "error" in done:
            raise OSError(done["error"])
        return done

    def _read(self, pid: int, reading: int, until: float) -> Dict[str, Any]:
        data = b""
        poll = select.poll()  # select() refuses the descriptors of a kernel that has many
        poll.register(reading, select.POLLIN)
        try:
            while len(data) <= REPLY_BYTES_MAX:
                left = until - time.monotonic()
                if left <= 0 or not poll.poll(left * 1000):
                    break
                part = os.read(reading, 1 << 20)
                if not part:
                    break
                data += part
        finally:
            os.close(reading)
            for kill in (os.killpg, os.kill):  # with all it started; itself, if it had not come so far
                try:
                    kill(pid, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    pass
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                pass  # a cell waited for all children
        try:
            return dict(json.loads(data.decode()))
        except ValueError:
            return {"status": "error", "reason": "saving took too long, or was killed; what was saved before is kept"}

    # -- in the child --------------------------------------------------------------------------------------------------

    def _be_saver(self, given: Any, directory: str, writing: int) -> None:
        """Alone with the variables; the caller ends the process."""
        os.setsid()  # an interrupt is for the kernel
        procself = self._load("procself")
        procself.die_with_parent(signal.SIGKILL)
        procself.set_oom_score(1000)
        quiet()
        if not given.main_thread:
            os.nice(5)  # a cell is running
        try:
            store = self._load("variables_store").Store(directory)
            self._load("variables_pickler").keep_class_ids(self._token)
            versions = self._load("variables_loader").versions()
            saver = self._load("variables_saver").Saver(given, self._load, store, versions)
            manifest = saver.run(self._app.shell.execution_count)
            found = {"status": "ok", "new_bytes": store.new_bytes, "stored_bytes": manifest["stored_bytes"]}
            found.update(listed(manifest["variables"]))
        except BaseException as exc:
            what = "this image has no cloudpickle" if isinstance(exc, ImportError) else str(exc)[:200]
            found = {"status": "error", "reason": what or type(exc).__name__}
        with os.fdopen(writing, "w") as out:
            json.dump(found, out)


def quiet() -> None:
    """What pickling prints is nobody's output; threads of the kernel are not here to send it."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    sys.stdout = sys.stderr = open(os.devnull, "w")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 0)


def listed(variables: Dict[str, Dict[str, Any]]) -> Dict[str, List[Any]]:
    """The first of them, what was lost before what was kept."""
    order = sorted(variables, key=lambda name: (ORDER.get(variables[name]["status"], 0), name))
    return {"variables": [dict(variables[name], name=name) for name in order[:VARIABLES_MAX]], "total": len(order)}  # type: ignore[dict-item]


def install(app: Any, load: Callable[[str], Any]) -> Optional[Variables]:
    """Call when `app` is initialised; None where ipykernel lacks what is used here."""
    try:
        return Variables(app, load)
    except (AttributeError, TypeError):
        return None
