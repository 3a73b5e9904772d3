"""The saver's side of trying whether groups load: starts the verifier, asks it, and lives with its crashes.

The first attempt waits for imports, so the verifier is started while variables are still being pickled.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

START_SECONDS = 30.0

Verdicts = List[Tuple[Dict[str, Any], str]]


class Trials:
    def __init__(
        self, told: Dict[str, Any], lines_of: Callable[[int], Any], deadline: float, one_seconds: float
    ) -> None:
        """
        Parameters
        ----------
        told : what the verifier is told first: directory, path, modules, imports.
        lines_of : what reads lines of JSON from a descriptor, with a time limit.
        """
        self._told, self._lines_of = told, lines_of
        self._deadline, self._one_seconds = deadline, one_seconds
        self._process: Optional[subprocess.Popen] = None  # type: ignore[type-arg]
        self._lines: Any = None

    def start(self) -> None:
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "variables_verifier.py")
        self._process = subprocess.Popen(
            [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._process.stdout is not None
        self._lines = self._lines_of(self._process.stdout.fileno())
        self._send(self._told)

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()  # its children end with the saver's session
            process.wait()

    def verify(self, groups: List[Dict[str, Any]], others: List[Dict[str, Any]]) -> Verdicts:
        """Those of `groups` that were tried, each with why it does not load; empty: it does."""
        verdicts: Verdicts = []
        todo = list(enumerate(groups))
        while todo and time.monotonic() < self._deadline:
            failures, reached, reason = self._attempt({"groups": todo, "others": others})
            for number, group in todo:
                if number < reached or (number == reached and reason):
                    verdicts.append((group, reason if number == reached else failures.get(number, "")))
            if reached < todo[0][0]:
                break  # it does not even begin
            todo = [(number, group) for number, group in todo if number > reached]
        return verdicts

    def _attempt(self, asked: Dict[str, Any]) -> Tuple[Dict[int, str], int, str]:
        """{number: why}, the number it came to, and why it did not come further."""
        if self._process is None:
            self.start()
        self._send(asked)
        failures: Dict[int, str] = {}
        at, limit = -1, START_SECONDS
        while True:
            until = time.monotonic() + limit
            said = self._lines.next(min(until, self._deadline))
            if said is None:
                break
            if said.get("done"):
                return failures, asked["groups"][-1][0] + 1, ""
            if "crashed" in said:
                return failures, at, "loading it ends the process (%s)" % ended(said["crashed"])
            if "at" in said:
                at, limit = said["at"], self._one_seconds
            else:
                failures[said["failed"]] = said["reason"]
        late = not self._lines.low and until <= time.monotonic() < self._deadline
        self._kill_children()
        self.close()
        return failures, at, "loading it takes too long" if late and at >= 0 else ""

    def _send(self, line: Dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(line).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it has ended, which is seen when it does not answer

    def _kill_children(self) -> None:
        assert self._process is not None
        try:
            with open("/proc/%d/task/%d/children" % (self._process.pid, self._process.pid)) as file:
                children = [int(pid) for pid in file.read().split()]
        except OSError:
            return
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def ended(status: int) -> str:
    if os.WIFSIGNALED(status):
        return "signal %d" % os.WTERMSIG(status)
    return "exit code %d" % os.WEXITSTATUS(status)
