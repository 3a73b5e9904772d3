"""In which order services list, and where a list has to begin so that nothing is missed.

S3 sorts by bytes, so that `a-b` and `a.b` come before `a/b`. SeaweedFS and others sort by segments, as directories are
read: `a/b` comes first; and they pass over all of a directory when a list begins after its name.
"""

from __future__ import annotations

import re

_BEFORE_SLASH = re.compile(r"[-.]")
"""The characters of keys that sort before a slash."""


def start_after(prefix: str, after: str) -> str:
    """A marker before every key that begins with `prefix` and sorts (by bytes) behind `after`; empty: the beginning.

    In both orders. It is cut where they differ, and it is no key's directory, because no key has a `~`.
    """
    rest = _BEFORE_SLASH.split(after.removeprefix(prefix))[0] if after.startswith(prefix) else ""
    if not rest or rest.endswith("/"):
        return prefix + rest if rest else ""
    smaller = "." if rest[-1] == "0" else chr(ord(rest[-1]) - 1)  # what precedes the 0 is the slash
    return f"{prefix}{rest[:-1]}{smaller}~"
