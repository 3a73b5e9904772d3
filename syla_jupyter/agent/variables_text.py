"""How objects of the user are named in reports: one short line, whatever they do when they are asked."""

from __future__ import annotations

TEXT_MAX = 200


def short(error: object) -> str:
    try:
        text = " ".join(str(error).split())
    except BaseException:
        text = ""
    return (text or type(error).__name__)[:TEXT_MAX]


def type_name(value: object) -> str:
    kind = type(value)
    module = getattr(kind, "__module__", "")
    plain = module in ("builtins", "__main__") or not isinstance(module, str)
    return (kind.__qualname__ if plain else module.partition(".")[0] + "." + kind.__qualname__)[:100]
