"""A server is killed, its kernel prints on, the next server adopts it: the tab that comes back misses nothing.

Real servers in processes of their own, a real kernel (the agent's, without a container), and the tab's side of the
websocket. How a container's kernel fares is in tests/faults.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq.asyncio
from jupyter_client.session import Session
from jupyter_server.services.kernels.kernelmanager import ServerKernelManager

from syla_jupyter.agent.journal import packed
from syla_jupyter.server import replay
from syla_jupyter.server.frames import signature_of
from syla_jupyter.server.replay import CatchUp, Replay
from syla_jupyter.server.seen import OUTPUT, REPLY, Deliveries, Seen

from ..tab import ServedKernel
from .agent_process import KEY, running_agent
from .test_offline import connected, connection, numbers
from .test_offline import message as output

LINES = 5000
HALF = 1000  # all of these fit into the queues of iopub, which drops what does not
# Stops half-way until told to go on, so that a server can be killed while nothing is on its way.
CODE = """
import pathlib, time
for i in range({lines}):
    print(i, flush=True)
    while i == {half} and not pathlib.Path({go!r}).exists(): time.sleep(0.01)
"""


# -- how far a browser has got ---------------------------------------------------------------------------------------


def test_seen_survives_and_is_never_half(tmp_path: Path) -> None:
    """The last note of each kind, for whoever opens the file next, without a word of a close."""
    seen = Seen(tmp_path / "h" / "seen")
    assert (seen.last(OUTPUT), seen.last(REPLY)) == (None, None)
    for number in range(5):
        seen.note(OUTPUT, b"%064d" % number)
        seen.note(REPLY, b"%032d" % (number * 2))
        other = Seen(tmp_path / "h" / "seen")
        assert (other.last(OUTPUT), other.last(REPLY)) == (b"0" * 32, b"%032d" % (number * 2))
        other.close()
    assert (tmp_path / "h" / "seen").stat().st_mode & 0o777 == 0o600
    torn = seen._map[0] & 1
    place = 8 + (1 - torn) * 32  # a writer that died before its last byte
    seen._map[place : place + 32] = b"?" * 32
    assert seen.last(OUTPUT) == b"0" * 32


def test_seen_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(1000))
    (tmp_path / "seen").symlink_to("secret")
    with pytest.raises(OSError):
        Seen(tmp_path / "seen")


def test_deliveries_are_noted_when_they_have_left_and_never_backwards(tmp_path: Path) -> None:
    """A message still in our buffer has not been seen; a late word of an old write changes nothing."""

    async def main() -> None:
        seen = Seen(tmp_path / "seen")
        deliveries = Deliveries(seen)
        writes: list[Any] = [asyncio.get_running_loop().create_future() for _ in range(4)]
        deliveries.written(OUTPUT, b"1" * 32, writes[0])
        deliveries.written(OUTPUT, b"2" * 32, writes[1])
        assert seen.last(OUTPUT) is None
        writes[0].set_result(None)
        await asyncio.sleep(0)
        assert seen.last(OUTPUT) == b"1" * 32  # though more is waiting
        writes[1].set_result(None)
        deliveries.written(OUTPUT, b"3" * 32, None)
        await asyncio.sleep(0)
        assert seen.last(OUTPUT) == b"3" * 32
        deliveries.written(REPLY, b"4" * 32, writes[2])
        writes[2].set_exception(ConnectionError())
        await asyncio.sleep(0)
        assert seen.last(REPLY) is None
        deliveries.close()

    asyncio.run(main())


# -- from one server to the next -------------------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedKernel]:
    with running_agent() as agent:
        prefix = str(agent.directory / agent.start("one")["prefix"])
        kernel = ServedKernel(tmp_path, prefix, KEY)
        yield kernel
        kernel.kill()


def test_what_was_printed_meanwhile_arrives_once_and_in_order(served: ServedKernel, tmp_path: Path) -> None:
    """More lines than Jupyter's limit of the rate allows, and the reply. The older of the websocket's protocols; the
    newer one, and JupyterLab's, is what all other tests speak."""
    served.start()
    tab = served.tab("tab", "legacy")
    cell = tab.execute(CODE.format(lines=LINES, half=HALF, go=str(tmp_path / "go")))
    tab.until(lambda: cell.line_count > HALF)
    served.has_noted()
    served.kill()
    tab.closed()
    (tmp_path / "go").touch()
    served.start()
    again = served.tab("tab", "legacy", tab)
    again.send("kernel_info_request", {})
    again.until(lambda: cell.ended)
    assert cell.lines == [str(i) for i in range(LINES)]
    assert cell.replies == 1
    ids = list(tab.ids)  # what else it says may still come
    assert len(ids) == len(set(ids))
    assert again.value("6 * 7") == "42"  # and it is live
    again.close()


def test_a_kill_in_the_middle_of_a_flood_loses_nothing(served: ServedKernel) -> None:
    """Nothing lost, order kept; of what was on its way in that moment one message may come twice."""
    served.start()
    tab = served.tab("tab")
    # Slower than the server's limit of the rate, and than what iopub drops.
    code = "import time\nfor i in range(3000):\n    print(i, flush=True)\n    if i % 8 == 0: time.sleep(0.01)"
    cell = tab.execute(code)
    tab.until(lambda: cell.line_count >= 500)
    served.kill()
    tab.closed()
    served.start()
    tab = served.tab("tab", before=tab)
    tab.send("kernel_info_request", {})
    tab.until(lambda: cell.ended)
    assert len(tab.ids) - len(set(tab.ids)) <= 1
    lines = cell.lines
    assert list(dict.fromkeys(lines)) == [str(i) for i in range(3000)]
    assert len(lines) <= 3001
    tab.close()


def test_another_tab_gets_it_when_the_first_does_not_return(served: ServedKernel, tmp_path: Path) -> None:
    """Output goes to whoever comes first; the reply waits for its asker, as long as it takes."""
    served.start()
    tab = served.tab("tab")
    cell = tab.execute(CODE.format(lines=300, half=100, go=str(tmp_path / "go")))
    tab.until(lambda: cell.line_count == 101)
    served.has_noted()
    (request,) = [id for id, one in tab.cells.items() if one is cell]
    served.kill()
    tab.closed()
    (tmp_path / "go").touch()
    served.start()
    other = served.tab("other")
    other.until(lambda: other.cell(request).line_count == 199)
    assert other.cell(request).lines == [str(i) for i in range(101, 300)]
    back = served.tab("tab", before=tab)
    back.send("kernel_info_request", {})
    back.until(lambda: cell.replies)
    assert cell.lines == [str(i) for i in range(101)]  # nothing twice
    assert not other.cell(request).replies
    other.close()
    back.close()


def test_what_did_not_fit_is_said_where_it_is_missing(tmp_path: Path) -> None:
    """A kernel that printed more than it may keep: the newest lines, and before them, in the same cell, a word of the
    others."""
    limit = (
        "get_ipython().kernel.control_handlers['syla_replay_request'].__self__._journal._spool._limit_bytes = 500_000"
    )
    go = tmp_path / "go"
    wait = f"import pathlib, time\nprint('first', flush=True)\nwhile not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)"
    with running_agent() as agent:
        info = connection(agent, agent.start("one")["prefix"])
        with connected(info, "tab") as client:
            client.wait_for_ready(timeout=30)
            cell = client.execute(f"{limit}\n{wait}\nfor i in range(1000): print(i, '.' * 9000, flush=True)")
            while client.get_iopub_msg(timeout=30)["msg_type"] != "stream":
                pass
        go.touch()
        served = ServedKernel(tmp_path, info["ip"], KEY)
        served.start()
        try:
            tab = served.tab("tab")
            tab.until(lambda: tab.cell(cell).idle)
            note, *lines = tab.cell(cell).lines
            numbers = [int(line.split()[0]) for line in lines]
            assert numbers == list(range(1000 - len(numbers), 1000))
            dropped = int(note.removeprefix("Up to ").partition(" ")[0])
            assert 0 <= dropped - (1000 - len(numbers)) <= 20  # what was seen counts too, and what is no line
            tab.close()
        finally:
            served.kill()


def test_a_server_that_dies_while_it_catches_up(served: ServedKernel, tmp_path: Path) -> None:
    """More than the pipes to a tab take that does not read: the third server brings what the second could not."""
    served.start()
    tab = served.tab("tab")
    wait = f"while not pathlib.Path({str(tmp_path / 'go')!r}).exists(): time.sleep(0.01)"
    code = f"import pathlib, time\nprint('begin', flush=True)\n{wait}\n"
    cell = tab.execute(code + "for i in range(3000): print(i, '.' * 8000, flush=True)\nprint('end')")
    tab.until(lambda: cell.line_count == 1)
    served.has_noted()
    served.kill()
    tab.closed()
    (tmp_path / "go").touch()
    before = served.seen()
    served.start()
    slow = served.tab("tab", before=tab, reading=False)
    slow.until(lambda: served.seen() != before)
    served.kill()
    slow.read_rest()
    assert 1 < cell.line_count < 3002
    served.start()
    last = served.tab("tab", before=slow)
    last.send("kernel_info_request", {})
    last.until(lambda: cell.ended)
    lines = [line.split()[0] for line in cell.lines]
    assert list(dict.fromkeys(lines)) == ["begin", *map(str, range(3000)), "end"]
    assert len(lines) <= 3003  # see above: one message may come twice
    last.close()


def test_a_kernel_without_replay_is_adopted_as_before(tmp_path: Path) -> None:
    """One that was started from its argv answers, but not this question: its tab connects and works, nothing waits."""
    argv = ["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    with running_agent() as agent:
        prefix = str(agent.directory / agent.start("one", argv=argv)["prefix"])
        kernel = ServedKernel(tmp_path, prefix, KEY)
        kernel.start()
        try:
            tab = kernel.tab("tab")
            assert tab.value("6 * 7") == "42"
            tab.close()
        finally:
            kernel.kill()


# -- a kernel that lies ------------------------------------------------------------------------------------------------


class Liar:
    """A kernel manager's kernel whose control channel answers each request for a page with what `answer` makes."""

    def __init__(self, directory: Path, answer: Callable[[Session, dict[str, Any]], list[bytes]] | None) -> None:
        self.manager: Any = ServerKernelManager()
        ports = {"shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5}
        info = {"transport": "ipc", "ip": str(directory / "k"), "key": KEY, "signature_scheme": "hmac-sha256"}
        self.manager.load_connection_info({**info, **ports})
        self._session, self._answer = Session(key=KEY), answer
        self._socket = zmq.asyncio.Context.instance().socket(zmq.ROUTER)
        self._socket.bind(f"ipc://{directory / 'k'}-4")
        self._task = asyncio.create_task(self._run())
        self.written: list[int] = []
        self.missing: list[int] = []

    async def _run(self) -> None:
        while True:
            identities, frames = self._session.feed_identities(await self._socket.recv_multipart())
            request = self._session.deserialize(frames)
            if self._answer is not None and request["msg_type"] == "syla_replay_request":
                await self._socket.send_multipart([*identities, *self._answer(self._session, request)])

    async def catch_up(self) -> CatchUp:
        """With one message held back, number 99."""

        async def flushed() -> None:
            pass

        catch_up = CatchUp(
            Replay(self.manager),
            write=lambda message: self.written.append(numbers([message])[0]),
            flushed=flushed,
            missing=lambda lines, before: self.missing.append(lines),
        )
        catch_up.takes(output(99))
        async with asyncio.timeout(20):
            await catch_up.run(None)
        assert catch_up.done
        self._task.cancel()
        self._socket.close(0)
        return catch_up


def page(session: Session, request: dict[str, Any], content: dict[str, Any], packet: bytes) -> list[bytes]:
    return [*session.serialize(session.msg("syla_replay_reply", content, parent=request)), packet]


LIES: dict[str, tuple[Callable[[Session, dict[str, Any]], list[bytes]] | None, int]] = {
    "never says end": (lambda s, r: page(s, r, {"end": False}, packed(output(1)) * 100), 1500),
    "says nothing": (None, 0),
    "is cut": (lambda s, r: page(s, r, {"end": True}, packed(output(1))[:-1]), 0),
    "has no content": (lambda s, r: page(s, r, {"end": "yes", "missing_lines": "many"}, b""), 0),
    "is not signed": (lambda s, r: page(Session(key=b"other"), r, {"end": True}, packed(output(1))), 0),
    "is no list": (lambda s, r: page(s, r, [1], b""), 0),  # type: ignore[arg-type]
    "is of huge frames": (lambda s, r: page(s, r, {"end": True}, b"\x06\0\0\0" + b"\xff" * 24), 0),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_lying_kernel_costs_its_tab_nothing_but_the_replay(
    lie: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it answers, the catching up ends, within limits of bytes and time, and what is live goes on."""
    monkeypatch.setattr(replay, "REPLAY_BYTES", 200_000)
    monkeypatch.setattr(replay, "SILENT_SECONDS", 0.3)
    monkeypatch.setattr(replay, "ECHO_SECONDS", 0.01)
    answer, most = LIES[lie]
    liar = Liar(tmp_path, answer)
    await liar.catch_up()
    assert liar.written[-1:] == [99]
    assert len(liar.written) - 1 <= most
    assert replay.replay_of(liar.manager) is None


def test_signature_of_what_is_no_message() -> None:
    assert signature_of([b"a", b"<IDS|MSG>"]) == b""
    assert signature_of([]) == b""
