"""Where lists begin: nothing that was asked for may be before it, whatever the service sorts by."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from syla_jupyter.objects.s3_order import start_after

SEGMENTS = st.text("09ab_-.z", min_size=1, max_size=3)
KEYS = st.lists(SEGMENTS, min_size=1, max_size=4).map("/".join)


@given(KEYS, KEYS, st.integers(0, 12), st.booleans())
def test_no_key_is_missed(key: str, other: str, cut: int, near: bool) -> None:
    """By bytes or by segments; and the marker names no directory that could be passed over."""
    after = key[:cut] + other if near else other
    prefix = key[: cut // 2]
    marker = start_after(prefix, after)
    if marker and key > after and key.startswith(prefix):
        assert key > marker
        assert key.split("/") > marker.split("/")
    assert not marker or marker.endswith(("~", "/"))


def test_a_log_is_read_from_where_it_was() -> None:
    """One that is known already, at most ten with a zero at the end."""
    assert start_after("log/", "log/00000017") == "log/00000016~"
    assert start_after("log/", "log/00000020") == "log/0000002.~"
    assert start_after("log/", "log/") == ""
    assert start_after("log/", "") == ""
    assert start_after("log/", "a/b-c") == ""
