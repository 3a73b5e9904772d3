"""Tries whether saved groups load: an interpreter of its own, that has nothing of the kernel but its search path.

    python3 variables_verifier.py     on standard input a line of JSON {"directory", "path", "modules", "imports"}, then
                                      one {"groups": [[number, group]], "others": [group]} for each attempt
                                      on standard output {"at": number} before each group, {"failed": number, "reason"}
                                      where it failed, and at the end {"done": true}, or {"crashed": wait status}

It is executed, not forked from the kernel, whose child would have everything in memory that a pickle must bring along.
It imports what will be needed, and each attempt is a fork of that. When it crashes or hangs, whoever started it knows
at which group, and asks for those after it. A group that fails is tried once more when all the others are there, those
too that are known to load: it may use them.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import types
from typing import Any, Dict, List

HERE = os.path.dirname(os.path.abspath(__file__))


def load(name: str) -> Any:
    """As the zygote does."""
    known = sys.modules.get("_syla_" + name)
    if known is None:
        spec = importlib.util.spec_from_file_location("_syla_" + name, os.path.join(HERE, name + ".py"))
        assert spec is not None
        assert spec.loader is not None
        known = sys.modules["_syla_" + name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(known)
    return known


def attempt(asked: Dict[str, Any], told: Dict[str, Any], answers: Any) -> None:
    """In a child of its own."""
    loader, store = load("variables_loader"), load("variables_store").Store(told["directory"])
    short = load("variables_text").short
    load("variables_rebuild")
    sys.modules["__main__"] = types.ModuleType("__main__")
    namespace = sys.modules["__main__"].__dict__
    namespace["__builtins__"] = __builtins__

    def tell(**said: Any) -> None:
        answers.write(json.dumps(said) + "\n")

    def failing(groups: List[Any]) -> List[Any]:
        failed = []
        for number, group in groups:
            tell(at=number)
            try:
                found = loader.load_group(store, group)
                if sorted(found) != sorted(group["names"]):
                    raise ValueError("other variables came back")
                namespace.update(found)
            except BaseException as exc:
                failed.append((number, group, "%s: %s" % (type(exc).__name__, short(exc))))
        return failed

    loader.import_modules(told["modules"], namespace, short)
    failed = failing(asked["groups"])
    if failed:
        failing([(-1, group) for group in asked["others"]])
    for number, _, reason in failing([(number, group) for number, group, _ in failed]):
        tell(failed=number, reason=reason)
    tell(done=True)


def main() -> None:
    told = json.loads(sys.stdin.readline())
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)  # what is loaded may print
    os.dup2(nothing, 2)
    sys.path[:] = told["path"]
    load("procself").set_oom_score(1000)
    for name in told["imports"]:
        try:
            importlib.import_module(name)
        except BaseException:
            pass  # whatever needs it will say so
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                attempt(json.loads(line), told, answers)
                answers.flush()
            finally:
                os._exit(0)
        _, status = os.waitpid(pid, 0)
        if status:
            answers.write(json.dumps({"crashed": status}) + "\n")
    os._exit(0)


if __name__ == "__main__":
    main()
