"""What is asked of a workspace's kernel or Python, besides to run code: run a file, list variables, list packages.

No part of the agent: the host sends the text of this file along with the question, as code for the kernel or as
`python3 -c`, so a container that was started by another version answers as well. A kernel's answer is a *payload* of
its reply, which leaves no trace among the user's variables and displays nothing.
"""

from __future__ import annotations

import builtins
import os
import reprlib
import signal
import sys
import threading
import time
import types
from typing import Any, Dict, List, Optional, Union

PAYLOAD = "syla"
ONE_SECONDS = 0.25  # for one variable to say what it is


def shell() -> Any:
    return sys.modules["IPython"].get_ipython()


def answer(**values: object) -> None:
    shell().payload_manager.write_payload(dict(values, source=PAYLOAD))


# -- a file ----------------------------------------------------------------------------------------------------------


def run_file(path: str, arguments: List[str], directory: str, text: Optional[str] = None) -> None:
    """Run a script among the kernel's variables, as `python path arguments` in `directory` would see the world.

    `text`: what would be in it, where there is no such file.
    """
    ip = shell()
    ns = ip.user_ns
    code: Optional[int] = None
    # `exit` of a kernel would end the kernel and let the script go on.
    ours = {"__file__": path, "exit": sys.exit, "quit": sys.exit}
    before = {name: ns[name] for name in ours if name in ns}
    argv, sys.argv = sys.argv, [path, *arguments]
    folder = os.path.dirname(path)
    sys.path.insert(0, folder)
    try:
        ns.update(ours)
        os.chdir(directory)
        source: Union[str, bytes, None] = text
        if source is None:
            with open(path, "rb") as file:
                source = file.read()
        builtins.exec(compile(source, path, "exec", dont_inherit=True), ns)
    except SystemExit as exc:
        code = exit_code(exc.code)
    except BaseException:
        kind, error, trace = sys.exc_info()
        ip.showtraceback((kind, error, trace.tb_next if trace else None))  # without this frame
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
        sys.argv = argv
        for name in ours:
            ns.pop(name, None)
        ns.update(before)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    answer(exit_code=code)


def exit_code(value: object) -> int:
    """Of SystemExit, as the interpreter has it."""
    if value is None:
        return 0
    if isinstance(value, int):
        return value & 0xFF
    print(value, file=sys.stderr)
    return 1


# -- variables -------------------------------------------------------------------------------------------------------


class Late(BaseException):
    """Past any `except Exception` in what is asked."""


def list_variables(count: int, seconds: float, width: int) -> None:
    """Of the user, by name: at most `count`, those that are looked at within `seconds`, `width` characters of each."""
    ip = shell()
    hidden = ip.user_ns_hidden
    names = sorted(
        name
        for name, value in list(ip.user_ns.items())
        if isinstance(name, str)
        and not name.startswith("_")
        and not issubclass(type(value), types.ModuleType)  # isinstance would ask the value
        and not (name in hidden and hidden[name] is value)
    )
    until = time.monotonic() + seconds
    found: List[Dict[str, object]] = []
    for name in names[:count]:
        if time.monotonic() > until:
            break
        value = ip.user_ns.get(name)
        found.append({"name": name[:200], "type": "?", "size_bytes": None, "repr": "?"})
        described(value, width, found[-1])
    answer(variables=found, total=len(names))


def described(value: object, width: int, into: Dict[str, object]) -> None:
    """Type, size and text, as far as the value says so in time; whatever it raises is its own affair."""
    alarmed = threading.current_thread() is threading.main_thread()
    if alarmed:
        before = signal.signal(signal.SIGALRM, late)
        timer = signal.setitimer(signal.ITIMER_REAL, ONE_SECONDS)
    try:
        into["type"] = type_name(value)
        into["size_bytes"] = size_bytes(value)
        into["repr"] = text(value, width)
    except KeyboardInterrupt:
        raise
    except BaseException:
        pass
    finally:
        if alarmed:
            signal.setitimer(signal.ITIMER_REAL, *timer)
            signal.signal(signal.SIGALRM, before)


def late(number: int, frame: object) -> None:
    raise Late


def type_name(value: object) -> str:
    kind = type(value)
    module = getattr(kind, "__module__", "")
    plain = module in ("builtins", "__main__") or not isinstance(module, str)
    return (kind.__qualname__ if plain else module.partition(".")[0] + "." + kind.__qualname__)[:100]


def size_bytes(value: Any) -> int:
    """Its data where it knows, else the object itself without what it refers to."""
    if type(value).__module__.startswith("pandas") and hasattr(value, "memory_usage"):
        used = value.memory_usage()
        return int(used if isinstance(used, int) else used.sum())
    data = getattr(value, "nbytes", None)
    return int(data) if isinstance(data, int) else sys.getsizeof(value)


def text(value: Any, width: int) -> str:
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and not isinstance(value, type):
        kind = getattr(value, "dtype", "")
        words = " ".join(filter(None, [str(kind), " x ".join(map(str, shape)) or "scalar"]))
    else:
        short = reprlib.Repr()
        short.maxlevel = 3
        short.maxstring = short.maxother = short.maxlong = width
        words = short.repr(value)
    words = " ".join(words.split())
    return words if len(words) <= width else words[: width - 1] + "…"


# -- packages --------------------------------------------------------------------------------------------------------


def list_packages(count: int) -> Dict[str, object]:
    """What pip put into the home, on top of the image, by the packages' own metadata."""
    import importlib.metadata
    import site

    home = site.getusersitepackages()
    found: Dict[str, Dict[str, object]] = {}
    for package in importlib.metadata.distributions(path=[home]):
        if len(found) >= count:
            break
        name = str(package.metadata["Name"] or "")
        if name:
            found[name] = {
                "name": name,
                "version": str(package.version),
                "requested": package.read_text("REQUESTED") is not None,
            }
    return {"packages": [found[name] for name in sorted(found, key=str.lower)]}
