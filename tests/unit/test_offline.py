"""What a kernel keeps while nobody listens: its bounds, its order, and what it says is lost. Real files, real sockets."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq
from jupyter_client import BlockingKernelClient

from syla_jupyter.agent.journal import DELIMITER, Journal, packed, signature_of
from syla_jupyter.agent.replies import Replies
from syla_jupyter.agent.spool import Spool
from syla_jupyter.server.control import Page, parse_page

from .agent_process import KEY, RunningAgent, running_agent

BIG = 1 << 30


def message(number: int, text: str = "x", parent: str = "execute_request") -> list[bytes]:
    """One line of output, signed as the wire has it."""
    content = json.dumps({"name": "stdout", "text": f"{number} {text}\n"}).encode()
    signature = hashlib.sha256(content).hexdigest().encode()
    header, parent_header = json.dumps({"msg_type": "stream"}), json.dumps({"msg_type": parent})
    return [b"stream.stdout", DELIMITER, signature, header.encode(), parent_header.encode(), b"{}", content]


def numbers(messages: list[list[bytes]]) -> list[int]:
    return [int(json.loads(m[-1])["text"].split()[0]) for m in messages]


def read(journal: Journal, after: bytes | None = None, live: bool = False, limit: int = BIG) -> Page:
    content, bodies = journal.page(after, live, limit)
    return parse_page(content, b"".join(bodies))


def small_journal(directory: Path, memory: int = 20_000, **bounds: int) -> Journal:
    return Journal(Spool([str(directory)], **bounds), memory_bytes=memory)


# -- the journal ---------------------------------------------------------------------------------------------------


def test_journal_gives_all_after_the_last_seen_once_and_in_order(tmp_path: Path) -> None:
    """Memory and disk together, page by page, while more is printed."""
    journal = small_journal(tmp_path, segment_bytes=10_000)
    sent = [message(number) for number in range(400)]
    for one in sent[:10]:
        journal.record(one)
    journal.hold()
    for one in sent[10:300]:
        journal.record(one)
    after, got, printed = signature_of(sent[4]), [], 300
    while True:
        page = read(journal, after, limit=5000)
        assert page.missing_lines is None
        got += page.messages
        after = signature_of(got[-1])
        if page.end and printed == 400:
            break
        for one in sent[printed : printed + 3]:
            journal.record(one)
        printed = min(printed + 3, 400)
    assert numbers(got) == list(range(5, 400))
    assert read(journal, after).messages == []


def test_journal_for_a_reader_that_knows_nothing(tmp_path: Path) -> None:
    """What was sent while somebody listened has been heard: he gets what came after."""
    journal = small_journal(tmp_path)
    for number in range(10):
        journal.record(message(number))
    journal.hold()
    journal.hold()
    for number in range(10, 500):
        journal.record(message(number))
    page = read(journal)
    assert (numbers(page.messages), page.missing_lines) == (list(range(10, 500)), None)
    assert numbers(read(journal).messages) == list(range(10, 500))  # until he acknowledges it


def test_journal_bounds_its_memory(tmp_path: Path) -> None:
    """Not held, it is a ring: no disk, and no more memory than its bound and one message."""
    journal = small_journal(tmp_path)
    for number in range(2000):
        journal.record(message(number))
    assert journal._bytes <= 20_000
    assert not journal._spool
    assert numbers(read(journal).messages)[-1] == 1999
    journal.record(message(2000, "y" * 100_000))
    assert numbers(read(journal).messages)[-1] == 2000  # the newest is kept, whatever its size


def test_journal_says_what_is_missing(tmp_path: Path) -> None:
    """A number when it dropped them itself, 0 when it cannot know, nothing when nothing is lost."""
    journal = small_journal(tmp_path)
    sent = [message(number) for number in range(1000)]
    for one in sent[:500]:
        journal.record(one)
    assert read(journal, signature_of(sent[3])).missing_lines == 0  # seen once, forgotten since
    assert read(journal, signature_of(sent[-501])).missing_lines is None
    held = small_journal(tmp_path, limit_bytes=50_000, segment_bytes=5000)
    held.record(sent[0])
    held.hold()
    for one in sent[1:]:
        held.record(one)
    page = read(held, signature_of(sent[0]))
    assert page.missing_lines == 1000 - len(page.messages)  # counts the one that was seen: at most so many
    assert page.missing_lines > 0
    assert read(held, signature_of(page.messages[0])).missing_lines is None  # told once, by the page before


def test_journal_of_another_kernel_than_the_reader_knew(tmp_path: Path) -> None:
    """After a restart the signature is a stranger's: all there is, and no word of a loss."""
    journal = small_journal(tmp_path)
    journal.record(message(1))
    page = read(journal, b"f" * 32)
    assert (numbers(page.messages), page.missing_lines) == ([1], None)


def test_hold_ends_when_a_live_reader_has_all(tmp_path: Path) -> None:
    """Not with a reader that hears nothing, nor with a page that is not the last."""
    journal = small_journal(tmp_path)
    journal.hold()
    for number in range(100):
        journal.record(message(number))
    for live, limit, held in [(False, BIG, True), (True, 3000, True), (True, BIG, False)]:
        read(journal, None, live, limit)
        assert journal.held is held
    for number in range(100, 1000):
        journal.record(message(number))
    assert not journal._spool  # what the last page was made of went with the first that had to go


def test_journal_knows_whether_a_cell_runs_and_leaves_its_own_requests_out(tmp_path: Path) -> None:
    """Busy and idle of cells count; of requests for pages they are not even kept: those would never end."""
    journal = small_journal(tmp_path)

    def status(state: str, parent: str) -> list[bytes]:
        frames = message(0, parent=parent)
        return [b"kernel.x.status", *frames[1:-1], json.dumps({"execution_state": state}).encode()]

    journal.record(status("busy", "execute_request"))
    journal.record(status("busy", "syla_replay_request"))
    journal.record(status("idle", "syla_replay_request"))
    page = read(journal)
    assert page.busy
    assert len(page.messages) == 1
    journal.record(status("idle", "execute_request"))
    assert not read(journal).busy


def test_journal_copies_buffers_and_refuses_what_is_no_message(tmp_path: Path) -> None:
    """A widget's buffer is the user's memory, which he may change after it was sent."""
    journal = small_journal(tmp_path)
    buffer = bytearray(b"before")
    journal.record([*message(1), memoryview(buffer)])
    buffer[:] = b"after!"
    assert read(journal).messages[0][-1] == b"before"
    for nonsense in ([b"a"], [b"a", b"b", b"c"], [], [*message(1)[:3]]):
        with pytest.raises((ValueError, IndexError)):
            journal.record(list(nonsense))


@pytest.mark.parametrize(
    "packet",
    [b"\1", b"\7\0\0\0", struct.pack("<I", 0xFFFFFFFF), packed(message(1))[:-1], packed([b"a"]), packed([b"x"] * 2000)],
)
def test_a_page_that_is_none_is_refused(packet: bytes) -> None:
    """Cut, too many frames, too few: an error of ours, before anything of it is used."""
    with pytest.raises(ValueError):
        parse_page({"end": True}, packet)
    assert parse_page({"end": True}, packed([b"x"] * 6)).messages == []  # well-formed, and no message


# -- replies ---------------------------------------------------------------------------------------------------------


@contextmanager
def router() -> Iterator[tuple[Any, Replies, Any]]:
    context = zmq.Context()
    with closing(context.socket(zmq.ROUTER)) as socket:
        socket.linger = 0
        socket.router_handover = 1
        port = socket.bind_to_random_port("tcp://127.0.0.1")

        @contextmanager
        def asker(identity: bytes) -> Iterator[Any]:
            with closing(context.socket(zmq.DEALER)) as dealer:
                dealer.linger, dealer.identity, dealer.rcvtimeo = 0, identity, 5000
                dealer.connect(f"tcp://127.0.0.1:{port}")
                yield dealer

        yield socket, Replies(socket), asker
    context.term()


def reply(asker: bytes, number: int, type: str = "execute_reply") -> list[bytes]:
    signature = hashlib.sha256(b"%d" % number).hexdigest().encode()
    return [asker, DELIMITER, signature, json.dumps({"msg_type": type}).encode(), b"{}", b"{}", b"%d" % number]


def test_a_reply_waits_for_its_asker() -> None:
    """He is away: it is kept, and comes with the first thing he sends. Other replies are dropped, as ever."""
    with router() as (socket, _, asker):
        socket.send_multipart(reply(b"tab", 1))
        socket.send_multipart(reply(b"tab", 2, "complete_reply"))
        socket.send_multipart(reply(b"other", 3))
        socket.send_multipart(reply(b"tab", 4))
        with asker(b"tab") as tab:
            tab.send_multipart([b"hello"])
            assert socket.recv_multipart() == [b"tab", b"hello"]
            assert [int(tab.recv_multipart()[-1]) for _ in range(2)] == [1, 4]
            tab.send_multipart([b"again"])
            socket.recv_multipart()
            assert not tab.poll(100)  # once


def test_replies_that_may_not_have_arrived_are_sent_again_from_the_last_known_on() -> None:
    """Those before it, and those sent while somebody listened, are not."""
    with router() as (socket, replies, asker):
        with asker(b"tab") as tab:
            tab.send_multipart([b"hello"])
            socket.recv_multipart()
            for number in range(5):
                socket.send_multipart(reply(b"tab", number))
                tab.recv_multipart()
        replies.suspect()
        with asker(b"tab") as tab:
            tab.send_multipart([b"hello"])
            socket.recv_multipart()
            socket.send_multipart(reply(b"tab", 5))
            assert int(tab.recv_multipart()[-1]) == 5
            replies.ask_again(reply(b"tab", 2)[2][:32])
            tab.send_multipart([b"hello"])
            socket.recv_multipart()
            assert [int(tab.recv_multipart()[-1]) for _ in range(2)] == [3, 4]
            replies.ask_again(None)
            tab.send_multipart([b"hello"])
            socket.recv_multipart()
            assert not tab.poll(100)


def test_waiting_replies_have_a_limit() -> None:
    """Askers that never come back do not fill the kernel's memory."""
    with router() as (socket, replies, _):
        for number in range(300):
            socket.send_multipart([*reply(b"asker %d" % (number % 7), number)[:-1], bytes(10_000)])
        kept = [frames for waiting in replies._waiting.values() for frames in waiting]
        assert 50 < len(kept) < 110


# -- in a kernel -----------------------------------------------------------------------------------------------------


def connection(agent: RunningAgent, prefix: str) -> dict[str, Any]:
    ports = {"shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5}
    ip = str(agent.directory / prefix)
    return {"transport": "ipc", "ip": ip, "key": KEY, "signature_scheme": "hmac-sha256", **ports}


@contextmanager
def connected(info: dict[str, Any], session: str) -> Iterator[BlockingKernelClient]:
    client = BlockingKernelClient()
    client.load_connection_info(info)
    client.session.session = session
    client.start_channels()
    try:
        yield client
    finally:
        client.stop_channels()


def ask(client: BlockingKernelClient, **content: Any) -> Page:
    request = client.session.msg("syla_replay_request", content)
    client.control_channel.send(request)
    while True:
        answer = client.get_control_msg(timeout=20)
        if answer["parent_header"]["msg_id"] == request["msg_id"]:
            return parse_page(answer["content"], b"".join(map(bytes, answer["buffers"])))


def test_a_kernel_keeps_what_it_prints_while_nobody_listens(tmp_path: Path) -> None:
    """More than its memory holds: all after the last seen, once and in order, and the cell's reply."""
    code = f"import pathlib, time\nprint('first', flush=True)\nwhile not pathlib.Path({str(tmp_path / 'go')!r}).exists(): time.sleep(0.01)\n"
    code += "for i in range(2000): print(i, ' ' * 3000, flush=True)"
    with running_agent() as agent:
        info = connection(agent, agent.start("one")["prefix"])
        with connected(info, "tab") as client:
            client.wait_for_ready(timeout=30)
            request = client.execute(code)
            while True:
                frames = client.iopub_channel.socket.recv_multipart()
                if b'"first' in frames[-1]:
                    break
        after: str | None = signature_of(frames).decode()
        (tmp_path / "go").touch()
        lines: list[str] = []
        states: list[str] = []
        with connected(info, "tab") as client:
            more = {"replied": None}
            while not states or states[-1] != "idle":  # the cell is still running when we come
                page = ask(client, after=after, live=False, limit_bytes=1 << 20, **more)
                more = {}
                for message in page.messages:
                    content = json.loads(message[-1])
                    lines += content["text"].split() if b'"stream"' in message[3] else []
                    states += [content["execution_state"]] if b'"status"' in message[3] else []
                    after = signature_of(message).decode()
            client.kernel_info()
            assert client.get_shell_msg(timeout=20)["parent_header"]["msg_id"] == request
            assert client.get_shell_msg(timeout=20)["msg_type"] == "kernel_info_reply"
            assert ask(client, after=after, live=True).end
        assert lines == [str(i) for i in range(2000)]


def test_a_question_waits_for_its_asker(tmp_path: Path) -> None:
    """A cell comes to its `input()` while nobody is there: who comes back is asked, and his answer arrives."""
    with running_agent() as agent:
        info = connection(agent, agent.start("one")["prefix"])
        wait = f"import pathlib, time\nwhile not pathlib.Path({str(tmp_path / 'go')!r}).exists(): time.sleep(0.01)\n"
        with connected(info, "tab") as client:
            client.wait_for_ready(timeout=30)
            request = client.execute(
                wait + f"pathlib.Path({str(tmp_path / 'asks')!r}).touch()\nassert input('?') == 'yes'"
            )
        (tmp_path / "go").touch()
        with connected(info, "tab") as client:
            assert client.get_stdin_msg(timeout=20)["content"]["prompt"] == "?"
            assert (tmp_path / "asks").exists()
            assert ask(client, after=None, live=True).question == {"id": request, "prompt": "?", "password": False}
            client.input("yes")
            reply = client.get_shell_msg(timeout=20)
            assert (reply["parent_header"]["msg_id"], reply["content"]["status"]) == (request, "ok")
            assert ask(client, after=None, live=True).question == {}


def test_a_kernel_ends_as_it_did_and_its_children_leave_the_journal_alone() -> None:
    """Output of a forked child arrives, once, and a clean end is a clean end."""
    with running_agent() as agent:
        info = connection(agent, agent.start("one")["prefix"])
        with connected(info, "tab") as client:
            client.wait_for_ready(timeout=30)
            client.execute_interactive(
                "import os, sys\npid = os.fork()\nif not pid:\n    print('child'); sys.stdout.flush(); os._exit(0)\nos.waitpid(pid, 0); print('parent')",
                timeout=30,
                output_hook=lambda message: None,
            )
            texts = [json.loads(m[-1]).get("text", "") for m in ask(client, after=None, live=True).messages]
            assert "".join(texts).split().count("child") == 1
            client.shutdown()
        assert agent.wait_event("exit")["code"] == 0
