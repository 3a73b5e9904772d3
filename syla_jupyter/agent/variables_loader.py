"""Saved variables, loaded: in an interpreter that tries whether they load, and in a new kernel before its first cell.

Group by group. A module that cannot be imported, a group that fails or takes too long costs only itself. What ends the
kernel altogether is known afterwards by the marker that lay beside the manifest while it was loaded: the next kernel
leaves that group out and says so. Nothing is ever run again to get a variable back.
"""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import sys
import threading
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

GROUP_SECONDS = 20.0
ALL_SECONDS = 45.0
"""Less than a start may take."""
MISSED = "there was no time left to load it"


class Late(BaseException):
    """Past any `except Exception` in what is loaded."""


def load_group(store: Any, group: Dict[str, Any]) -> Dict[str, Any]:
    """The variables of a group by name; whatever loading them raises."""
    buffers = [store.map(described) for described in group["buffers"]]
    found = pickle.loads(store.read(group["stream"]), buffers=buffers)
    return {group["names"][0]: found} if group["single"] else dict(found)


def versions() -> Dict[str, str]:
    """Of this Python, and of the packages that are imported, as far as they say."""
    found = {"python": "%d.%d" % sys.version_info[:2]}
    for name, module in sorted(sys.modules.items()):
        version = getattr(module, "__dict__", {}).get("__version__")
        if "." not in name and not name.startswith("_") and isinstance(version, str) and len(version) < 40:
            found[name] = version
    return found


def runs_here(group: Dict[str, Any], manifest: Dict[str, Any]) -> str:
    """Why it cannot be loaded by this Python, whatever its pickle says; empty: it may be."""
    made = str((manifest.get("versions") or {}).get("python"))
    here = "%d.%d" % sys.version_info[:2]
    if group.get("code") and made != here:
        return "its code was made by Python %s, which Python %s cannot run" % (made[:20], here)
    return ""


class Restoring:
    """Puts the variables of a manifest into a namespace; `report` afterwards says what became of each."""

    def __init__(self, store: Any, short: Callable[[object], str]) -> None:
        self._store, self._short = store, short
        self.report: Dict[str, Any] = {}

    def run(self, namespace: Dict[str, Any]) -> Optional[Dict[str, Any]]:
        """The manifest that was restored; None where there is none."""
        began = time.monotonic()
        manifest: Dict[str, Any] = self._store.manifest()
        if not manifest:
            return None
        refused = dict(manifest.get("refused") or {})
        marked = self._store.marker()
        if marked:
            refused[marked] = "a kernel that loaded it ended, or did not come to an end"
        for place in manifest.get("path") or []:
            if isinstance(place, str) and place not in sys.path and os.path.isdir(place):
                sys.path.append(place)
        variables = {name: dict(one) for name, one in manifest["variables"].items()}
        for name, reason in import_modules(manifest["modules"], namespace, self._short).items():
            variables[name].update(status="lost", reason=reason)
        todo, again = list(manifest["groups"]), True
        while todo:
            failed = []
            for group in todo:
                late = time.monotonic() - began > ALL_SECONDS
                reason = refused.get(group["key"], "") or runs_here(group, manifest) or (MISSED if late else "")
                if not reason:
                    reason, final = self._group(group, namespace)
                    if reason and again and not final:
                        failed.append(group)  # it may use what comes later
                        continue
                if reason:
                    for name in group["names"]:
                        variables[name].update(status="lost", reason=reason)
            todo, again = failed, False
        if marked:
            self._store.refuse(manifest, refused)
        self._store.set_marker(None)
        self.report = {
            "variables": variables,
            "seconds": time.monotonic() - began,
            "saved_at": manifest.get("saved_at"),
            "changed": changed(manifest.get("versions") or {}),
        }
        return manifest

    def _group(self, group: Dict[str, Any], namespace: Dict[str, Any]) -> Tuple[str, bool]:
        """Why it did not load, empty where it did, and whether that is for good."""
        self._store.set_marker(group["key"])
        try:
            with time_limit(GROUP_SECONDS):
                namespace.update(load_group(self._store, group))
            return "", True
        except Late:
            return "it took longer than %d s to load" % GROUP_SECONDS, True
        except BaseException as exc:
            return "%s: %s" % (type(exc).__name__, self._short(exc)), False


def import_modules(
    modules: Dict[str, str], namespace: Dict[str, Any], short: Callable[[object], str]
) -> Dict[str, str]:
    """First of all, because what is loaded may use them; those that cannot be imported, with the reason."""
    failed = {}
    for name, module in modules.items():
        try:
            namespace[name] = namespace if module == "." else importlib.import_module(module)
        except BaseException as exc:
            failed[name] = "%s: %s" % (type(exc).__name__, short(exc))
    return failed


def changed(before: Dict[str, str]) -> List[str]:
    """Packages that are of another version now than when the variables were saved, a line each."""
    now = versions()
    return [
        "%s %s, saved with %s" % (name, now[name], version)
        for name, version in sorted(before.items())
        if name in now and now[name] != version
    ]


class time_limit:
    """Of the block, where it runs on the main thread."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._set = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> None:
        if self._set:
            self._before = signal.signal(signal.SIGALRM, _late)
            signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def __exit__(self, *_how: object) -> None:
        if self._set:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._before)


def _late(_number: int, _frame: object) -> None:
    raise Late
