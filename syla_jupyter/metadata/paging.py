"""Where a page ends and the next begins. Pure.

A cursor is the sort value and the id of the last row given, so that it does not matter what was made or removed since.
It travels as an opaque text that also says which query it is of: one of another query is refused, as is one that was
made up. It needs no secret, because it gives nobody anything: the conditions come from the query every time.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from dataclasses import dataclass

from ..model.errors import BadInput
from .base import PAGE_MAX, SORTS, Query
from .encoding import LABELS_MAX, NAME_KEY_MAX, check_text

_TOKEN_MAX = 8192  # characters; a name of any kind is far shorter


@dataclass(frozen=True)
class Cursor:
    value: str | float
    """Of the column that the query sorts by."""
    id: str
    total: int
    """As counted with the first page."""


def check_query(query: Query) -> None:
    """`BadInput` where it makes no sense."""
    if not 1 <= query.limit <= PAGE_MAX:
        raise BadInput("limit", f"{query.limit} is not a length of a page", f"Use 1 to {PAGE_MAX}")
    if query.sort not in SORTS:
        raise BadInput("sort", f"there is no order {query.sort!r}", f"Use one of {', '.join(SORTS)}")
    for field in ("idle_for_seconds", "older_than_seconds", "now"):
        value = getattr(query, field)
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise BadInput(field, f"{value} is not a number of seconds", "Use 0 or more")
    for field, text in (("owner", query.owner or ""), ("name_part", query.name_part)):
        check_text(field, text)
    if len(query.labels) > LABELS_MAX:
        raise BadInput("labels", f"{len(query.labels)} are too many", f"Give {LABELS_MAX} at most")
    for key, text in query.labels.items():
        check_text("labels", key)
        check_text("labels", text)


def write_cursor(query: Query, cursor: Cursor) -> str:
    text = json.dumps([_fingerprint(query), cursor.value, cursor.id, cursor.total], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def read_cursor(query: Query) -> Cursor | None:
    """Of `query.after`; None for a first page. `BadInput` for one that `write_cursor` did not write for this query."""
    if not query.after:
        return None
    wrong = BadInput("after", "this is not the end of a page of this list", "Begin again with the first page")
    if len(query.after) > _TOKEN_MAX:
        raise wrong
    try:
        padding = "=" * (-len(query.after) % 4)
        fingerprint, value, id, total = json.loads(
            base64.b64decode(query.after + padding, altchars=b"-_", validate=True)
        )
    except (ValueError, TypeError, RecursionError) as exc:
        raise wrong from exc
    right = str if query.sort == "name" else (int, float)
    if fingerprint != _fingerprint(query) or not isinstance(value, right) or not isinstance(id, str):
        raise wrong
    if isinstance(value, bool) or (not isinstance(value, str) and not abs(value) < 1 << 63):  # also not a number
        raise wrong
    if not isinstance(total, int) or not 0 <= total < 1 << 63:
        raise wrong
    check_text("after", id)
    check_text("after", str(value), NAME_KEY_MAX)
    return Cursor(value, id, total)


def _fingerprint(query: Query) -> str:
    """Of everything that decides which rows and in which order; not of `now`, which goes on between two pages."""
    parts = [
        query.owner, sorted(query.states), sorted(query.types), sorted(query.labels.items()), query.name_part,
        query.idle_for_seconds, query.older_than_seconds, query.sort, query.descending,
    ]  # fmt: skip
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=6).hexdigest()
