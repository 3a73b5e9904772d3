"""A cell is run once the document has what its page has made of it."""

from __future__ import annotations

import asyncio

import pycrdt
from hypothesis import given
from hypothesis import strategies as st
from jupyter_ydoc import YNotebook

from syla_jupyter.server.shared_documents import Edits, arrival
from syla_jupyter.server.yjs_wire import clock_of


@given(st.lists(st.text(min_size=1, max_size=20), max_size=5))
def test_how_far_somebody_is(typed: list[str]) -> None:
    """As a document itself counts it, of each of its clients."""
    ours, theirs = pycrdt.Doc(), pycrdt.Doc()
    for text in typed:
        ours.get("source", type=pycrdt.Text).insert(0, text)
    theirs.get("source", type=pycrdt.Text).insert(0, "abc")
    theirs.apply_update(ours.get_update())
    state = theirs.get_state()
    assert clock_of(state, theirs.client_id) == 3
    assert clock_of(state, ours.client_id) == clock_of(ours.get_state(), ours.client_id)
    assert clock_of(ours.get_state(), theirs.client_id) == 0
    assert (clock_of(state, ours.client_id) > 0) == bool(typed)


async def test_it_waits_for_all_of_them() -> None:
    """And for no more; what comes from others does not count."""
    notebook, page, other = YNotebook(), pycrdt.Doc(), pycrdt.Doc()
    text = page.get("source", type=pycrdt.Text)
    updates = []
    page.observe(lambda event: updates.append(event.update))
    text += "ab"
    text += "cd"
    other.get("source", type=pycrdt.Text).insert(0, "abcdef")
    waiting = asyncio.create_task(arrival(notebook, Edits(page.client_id, 4), 60))
    for update in (other.get_update(), updates[0]):
        notebook.ydoc.apply_update(update)
        done, _ = await asyncio.wait({waiting}, timeout=0.05)
        assert not done
    notebook.ydoc.apply_update(updates[1])
    assert await waiting
    assert await arrival(notebook, Edits(page.client_id, 4), 0.01)
    assert await arrival(notebook, Edits(12345, 0), 0.01)


async def test_what_does_not_come_is_not_waited_for_long() -> None:
    assert not await arrival(YNotebook(), Edits(7, 1), 0.05)
