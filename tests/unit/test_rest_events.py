"""The hub of events: order, replay, what is lost and said to be, and listeners that are too slow."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

from syla_jupyter.model.clock import SystemClock
from syla_jupyter.server.announcer import Announcer
from syla_jupyter.server.at_work import AtWork
from syla_jupyter.server.events import KEPT_MAX, QUEUED_MAX, EventHub, Listener, Published
from syla_jupyter.workspaces.activity import Signals
from syla_jupyter.workspaces.registry import Change

from .records import a_record


def tell(hub: EventHub, count: int, workspace: str = "w", owner: str = "ann", size: int = 0) -> None:
    for _ in range(count):
        hub.publish(workspace, owner, lambda id: id + " " * size)


async def lines(listener: Listener, count: int) -> list[str]:
    async with asyncio.timeout(30):
        return [event.line for _ in range(count) if (event := await listener.next()) is not None]


def everything(_: Published) -> bool:
    return True


async def test_a_listener_gets_what_happens_from_then_on() -> None:
    """In order, from whichever thread it comes."""
    hub = EventHub()
    tell(hub, 3)
    listener, id, reset = hub.listen(everything)
    assert not reset
    thread = threading.Thread(target=tell, args=(hub, 100))
    thread.start()
    numbers = [int(line.partition("-")[2]) for line in await lines(listener, 100)]
    thread.join()
    assert numbers == list(range(4, 104))
    assert id.endswith("-3")


async def test_coming_back() -> None:
    """Who names the last event it has gets the rest, once; who names one that is not kept is told so."""
    hub = EventHub()
    first, start, _ = hub.listen(everything)
    tell(hub, 5)
    (*_, third), rest = (await lines(first, 3)), await lines(first, 2)
    again, id, reset = hub.listen(everything, third)
    assert (await lines(again, 2), id, reset) == (rest, third, False)
    assert hub.listen(everything, start)[1:] == (start, False)
    tell(hub, KEPT_MAX)
    _, latest, reset = hub.listen(everything, third)
    assert reset
    assert latest.endswith(f"-{KEPT_MAX + 5}")


async def test_ids_that_are_none_of_ours() -> None:
    """Ids of a server before this one, of the future, or made up begin anew."""
    hub = EventHub()
    tell(hub, 1)
    _, id, _ = hub.listen(everything)
    for other in ("x", "-", "0-1", id + "0", id.replace("-", "-٣"), id.partition("-")[0] + "-" + "9" * 30):
        assert hub.listen(everything, other)[1:] == (id, True)


async def test_a_slow_listener_is_dropped() -> None:
    """Its queue is bounded in number and in size; the others go on, and nobody waits."""
    for count, size in ((QUEUED_MAX + 1, 0), (5, 1 << 20)):
        hub = EventHub()
        slow, *_ = hub.listen(everything)
        tell(hub, count, size=size)
        await asyncio.sleep(0)
        assert await slow.next() is None
        quick, *_ = hub.listen(everything)
        tell(hub, 1)
        assert len(await lines(quick, 1)) == 1


async def test_only_what_is_wanted() -> None:
    """A listener's filter holds for what is kept as for what comes."""
    hub = EventHub()
    _, start, _ = hub.listen(everything)
    tell(hub, 1, "w")
    tell(hub, 1, "x", "bob")
    listener, *_ = hub.listen(lambda event: event.owner == "bob", start)
    tell(hub, 1, "w")
    hub.stream("x", "bob", "output")
    assert [line.partition("-")[2] or line for line in await lines(listener, 2)] == ["2", "output"]


async def test_a_loop_that_has_ended() -> None:
    """Publishing goes on when a client's event loop is gone."""
    hub = EventHub()
    thread = threading.Thread(target=lambda: asyncio.run(asyncio.wait_for(_listen(hub), 30)))
    thread.start()
    thread.join()
    tell(hub, 2)


async def _listen(hub: EventHub) -> None:
    hub.listen(everything)


async def test_what_is_said() -> None:
    """A change holds the workspace as it is; output is passed on, and left out where it is too large."""
    announcer = Announcer(EventHub(), SystemClock(), Path("/srv"))
    listener, *_ = announcer.hub.listen(everything)
    announcer.changed(Change("suspend", a_record(reason="idle"), "idle", 0.01))
    announcer.warned(a_record(), "suspended in 5 min")
    announcer.warned(a_record(), "it passed its limit \ud800", kind="memory")
    announcer.executing(a_record(), {"type": "stream", "execution": "e", "name": "stdout", "text": "a\ud800"})
    announcer.executing(a_record(), {"type": "display", "execution": "e", "data": {"text/plain": "x" * (1 << 20)}})
    change, warning, memory, output, large = (json.loads(line) for line in await lines(listener, 5))
    assert (change["verb"], change["workspace"]["name"], change["workspace"]["reason"]) == ("suspend", "proj", "idle")
    assert (warning["event"], warning["kind"], warning["message"]) == ("warning", "policy", "suspended in 5 min")
    assert (memory["kind"], memory["message"]) == ("memory", "it passed its limit ?")
    assert (output["text"], output["name"], output["omitted"]) == ("a?", "stdout", False)
    assert (large["data"], large["omitted"]) == (None, True)


def test_who_is_at_work() -> None:
    """A workspace counts while code runs for a request, and once after it has ended."""
    at_work = AtWork()
    with at_work.on("w"), at_work.on("w"):
        assert at_work.signals() == {"w": Signals(kernels_busy=2)}
    assert at_work.signals() == {"w": Signals(executions=2)}
    assert at_work.signals() == {}
