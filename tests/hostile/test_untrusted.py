"""What comes out of a container is untrusted: names in its directory, the agent's words, links among the files.

A hostile agent is a Unix server of this test at the place where an agent's socket would be.
"""

from __future__ import annotations

import json
import os
import resource
import secrets
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syla_jupyter.agent.protocol import FRAME_MAX, FrameReader, ProtocolError, decode, encode
from syla_jupyter.model.errors import AgentTimeout, StartFailed, SylaError, WorkspaceLost
from syla_jupyter.model.runtime import ContainerInfo, Exit
from syla_jupyter.runtimes.agent_client import AgentClient, wait_for_agent
from syla_jupyter.runtimes.rundir import RunDir
from syla_jupyter.workspaces.live import LiveWorkspace

from .conftest import Host

HELLO = b'{"id":1,"ok":true,"version":1,"python":"3"}'


def frame(body: bytes) -> bytes:
    return struct.pack("!I", len(body)) + body


class HostileAgent:
    """Accepts connections and hands each to `act(connection)` in a thread."""

    def __init__(self, path: Path, act: Callable[[socket.socket], None]) -> None:
        self.path, self.connections = path, 0
        self._act = act
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._one, args=(peer,), daemon=True).start()

    def _one(self, peer: socket.socket) -> None:
        with peer:
            try:
                self._act(peer)
            except OSError:
                pass

    def close(self) -> None:
        if self._listener.fileno() >= 0:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()


@pytest.fixture
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunDir]:
    from syla_jupyter.app import CONTAINER_USER

    parent = tmp_path_factory.mktemp("r")
    os.chmod(parent, 0o700)
    run = RunDir.create(parent, CONTAINER_USER)
    yield run
    run.remove()


@pytest.fixture
def agent(run_dir: RunDir) -> Iterator[Callable[[Callable[[socket.socket], None]], HostileAgent]]:
    made: list[HostileAgent] = []

    def make(act: Callable[[socket.socket], None]) -> HostileAgent:
        made.append(HostileAgent(run_dir.container_side / "agent", act))
        run_dir.adopt_agent()
        return made[-1]

    yield make
    for one in made:
        one.close()


def greeted(*frames: bytes, stay: bool = True) -> Callable[[socket.socket], None]:
    """Answers hello well, then each further request with the next of `frames`."""

    def act(peer: socket.socket) -> None:
        peer.recv(65536)
        peer.sendall(frame(HELLO))
        for body in frames:
            peer.recv(65536)
            peer.sendall(body)
        while stay and peer.recv(65536):
            pass

    return act


Make = Callable[[Callable[[socket.socket], None]], HostileAgent]


# -- names in the run directory --------------------------------------------------------------------------------


@pytest.fixture
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[socket.socket]:
    """A service of the host on a Unix socket, which nothing may be led to."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path_factory.mktemp("v") / "service"))
    listener.listen()
    yield listener
    assert not select.select([listener], [], [], 0)[0], "a connection arrived at the host's service"
    listener.close()


@pytest.mark.parametrize("thing", ["link to a service", "link to a file", "dangling link", "file", "directory", "fifo"])
def test_kernel_socket_exchanged(thing: str, run_dir: RunDir, victim: socket.socket) -> None:
    """Anything but a socket under a kernel's name is refused, and its target is neither connected to nor linked."""
    for number in range(1, 5):
        socket.socket(socket.AF_UNIX).bind(str(run_dir.container_side / f"k1-{number}"))
    place = run_dir.container_side / "k1-5"
    act: dict[str, Callable[[], object]] = {
        "link to a service": lambda: place.symlink_to(victim.getsockname()),
        "link to a file": lambda: place.symlink_to("/etc/shadow"),
        "dangling link": lambda: place.symlink_to("/nonexistent"),
        "file": lambda: place.write_text("x"),
        "directory": place.mkdir,
        "fifo": lambda: os.mkfifo(place),
    }
    act[thing]()
    with pytest.raises(StartFailed, match=r"^socket k1-5 is not"):
        run_dir.link_kernel("k1", "slot")
    assert not os.path.lexists(run_dir.path.parent / "k" / "slot-5")
    assert not os.path.lexists(run_dir.path.parent / "k" / "slot-5.new")


def test_checked_socket_stays(run_dir: RunDir, victim: socket.socket) -> None:
    """After the check the host's name is that very socket, whatever the container does to its own name."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(run_dir.container_side / "k1-1"))
    listener.listen()
    for number in range(2, 6):
        socket.socket(socket.AF_UNIX).bind(str(run_dir.container_side / f"k1-{number}"))
    run_dir.link_kernel("k1", "slot")
    (run_dir.container_side / "k1-1").unlink()
    (run_dir.container_side / "k1-1").symlink_to(victim.getsockname())
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(run_dir.client_prefix("slot")) + "-1")
    assert select.select([listener], [], [], 5)[0]
    client.close()
    listener.close()


@pytest.mark.parametrize("prefix", ["", ".", "..", "../x", "/etc/passwd", "a/b", "k1\0", "k" * 5000, "\ud800"])
def test_kernel_prefix_leads_nowhere(prefix: str, run_dir: RunDir) -> None:
    """A prefix that is no plain name of the container's directory is refused, in our words."""
    with pytest.raises(StartFailed):
        run_dir.link_kernel(prefix, "slot")
    assert list(run_dir.path.parent.glob("k/*")) == []


@pytest.mark.parametrize("thing", ["link", "file", "nothing"])
def test_agent_socket_exchanged(thing: str, run_dir: RunDir, victim: socket.socket) -> None:
    """An agent's name that is a link or a file is refused before anything is connected."""
    place = run_dir.container_side / "agent"
    if thing == "link":
        place.symlink_to(victim.getsockname())
    elif thing == "file":
        place.write_text("x")
    with pytest.raises(SylaError):
        wait_for_agent(place, timeout=0.2, gone=lambda: False)
    if thing != "nothing":
        with pytest.raises(StartFailed):
            run_dir.adopt_agent()


def test_run_directory_full_of_rubbish_is_removed(run_dir: RunDir) -> None:
    """Whatever the container put into its directory, the host removes it."""
    place = os.open(run_dir.container_side, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=place)
        deeper = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = deeper
    os.close(place)
    try:
        run_dir.remove()
        assert not run_dir.path.exists()
    finally:
        os.system(f"rm -rf '{run_dir.path}'")


# -- the agent's words -----------------------------------------------------------------------------------------

BREAKING = {
    "oversized": struct.pack("!I", FRAME_MAX + 1),
    "enormous": b"\xff" * 4096,
    "garbage": frame(b"\x80\x81 not json"),
    "list": frame(b"[1, 2]"),
    "number": frame(b"7"),
    "deep": frame(b"[" * 100_000 + b"]" * 100_000),
    "deep object": frame(b'{"a":' * 40_000 + b"1" + b"}" * 40_000),
    "long number": frame(b'{"id": ' + b"9" * 100_000 + b"}"),
}


@pytest.mark.parametrize("name", BREAKING)
def test_broken_frames_lose_the_agent(name: str, agent: Make, run_dir: RunDir) -> None:
    """A frame against the rules ends the connection at once: the call fails, `on_lost` is called, nothing hangs."""
    agent(greeted(BREAKING[name]))
    lost = threading.Event()
    client = AgentClient(run_dir.agent_socket, on_lost=lost.set)
    started = time.monotonic()
    with pytest.raises(WorkspaceLost):
        client.call("usage", timeout=10)
    assert time.monotonic() - started < 9  # less than the call's own limit
    assert lost.wait(20)
    with pytest.raises(WorkspaceLost):
        client.call("usage")


def test_unknown_answers_are_dropped(agent: Make, run_dir: RunDir) -> None:
    """Answers to questions nobody asked, and events of no kind, change nothing; the right answer still arrives."""
    odd = [{"id": 99}, {"id": "2"}, {"id": None}, {"id": [1]}, {"id": 2.5}, {}, {"event": None}, {"event": ["exit"]}]
    frames = b"".join(frame(json.dumps(m).encode()) for m in odd)
    agent(greeted(frames + frame(b'{"id":2,"ok":true,"here":1}')))
    client = AgentClient(run_dir.agent_socket)
    assert client.call("usage")["here"] == 1
    client.close()


def test_silence_is_bounded(agent: Make, run_dir: RunDir) -> None:
    """An agent that never answers holds a caller up to the time limit and no longer; also in the greeting."""
    made = agent(greeted())
    client = AgentClient(run_dir.agent_socket)
    started = time.monotonic()
    with pytest.raises(AgentTimeout):
        client.call("usage", timeout=0.3)
    client.close()
    made.close()
    (run_dir.container_side / "agent").unlink()
    mute = HostileAgent(run_dir.container_side / "agent", lambda peer: peer.recv(1) and select.select([], [], [], 5))
    run_dir.adopt_agent()
    with pytest.raises(AgentTimeout):
        AgentClient(run_dir.agent_socket, timeout=0.3)
    assert time.monotonic() - started < 8
    mute.close()


def test_agent_that_never_reads_is_dropped(agent: Make, run_dir: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that sends to an agent which does not read gives up within the limit for sending."""
    monkeypatch.setattr("syla_jupyter.runtimes.agent_client.SEND_SECONDS", 1)

    def act(peer: socket.socket) -> None:
        peer.recv(65536)
        peer.sendall(frame(HELLO))
        select.select([], [], [], 20)

    agent(act)
    client = AgentClient(run_dir.agent_socket)
    started = time.monotonic()
    with pytest.raises((WorkspaceLost, AgentTimeout)):
        for _ in range(50):
            client.submit("command", argv=["x" * 200_000])
    assert time.monotonic() - started < 18  # before the agent gives up
    client.close()


@pytest.mark.parametrize("cut", [1, 3, 4, 10])
def test_closing_in_mid_frame(cut: int, agent: Make, run_dir: RunDir) -> None:
    """A connection that ends inside a frame is a lost workspace."""
    agent(greeted(frame(b'{"id":2,"ok":true}')[:cut], stay=False))
    client = AgentClient(run_dir.agent_socket)
    with pytest.raises(WorkspaceLost):
        client.call("usage", timeout=5)


def live(run_dir: RunDir, host: Host) -> LiveWorkspace:
    workspace = LiveWorkspace(host.spec(), run_dir, ContainerInfo("x", "x", {}, True), lambda _: None)
    workspace.agent = AgentClient(run_dir.agent_socket, on_event=workspace.on_event, on_lost=workspace.on_lost)
    return workspace


EXITS: list[dict[str, Any]] = [
    {"code": "0", "signal": None},
    {"code": [1], "signal": {"a": 1}},
    {"code": 10**30, "signal": None, "detail": {"x": "\ud800" * 10}},
    {"code": None, "signal": 10**30, "out_of_memory": "yes", "detail": "a\nb\x1b[31m" * 1000},
    {"code": True, "signal": -5},
]


@pytest.mark.parametrize("exit_event", EXITS, ids=str)
def test_exit_events_of_any_type(
    exit_event: dict[str, Any], agent: Make, run_dir: RunDir, hostile_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """An exit event with wrong types ends the process for the host, with a message of one short line."""
    monkeypatch.setattr(secrets, "token_hex", lambda count: "1")  # so that the agent's words can be written down ahead
    answered = frame(b'{"id":2,"ok":true,"pid":1,"prefix":"k1"}')
    event = frame(json.dumps({"event": "exit", "process": "command.1", **exit_event}).encode())
    agent(greeted(answered + event))
    workspace = live(run_dir, hostile_host)
    process = workspace.start_command(["x"], cwd="/", env={}, stdio=(0, 1, 2), tty=False)
    ended = process.done.result(20)
    assert isinstance(ended, Exit)
    assert isinstance(ended.returncode, int)
    assert len(process.why()) < 1000
    assert process.why().isprintable()
    assert not workspace.lost
    workspace.agent.close()


def test_prefix_of_a_hostile_agent(agent: Make, run_dir: RunDir, hostile_host: Host) -> None:
    """A kernel start answered with a path is refused, and the caller can go on."""
    answers = [frame(json.dumps({"id": n, "ok": True, "prefix": p}).encode()) for n, p in ((2, "../h/x"), (4, None))]
    agent(greeted(answers[0], frame(b'{"id":3,"ok":true}'), answers[1], frame(b'{"id":5,"ok":true}')))
    workspace = live(run_dir, hostile_host)
    for _ in range(2):
        with pytest.raises(StartFailed):
            workspace.start_kernel("k", key=b"k", cwd="/", env={}, timeout=5)
    assert workspace.processes == []
    workspace.agent.close()


@pytest.mark.parametrize(
    "said", [{"running": 7, "ended": {"x": 1}}, {"running": [["k.1"]], "ended": [3, {}]}, {}], ids=str
)
def test_lists_of_processes_of_any_type(
    said: dict[str, Any], agent: Make, run_dir: RunDir, hostile_host: Host
) -> None:  # fmt: skip
    """A kernel that an earlier process started is taken for ended when what the agent lists makes no sense."""
    agent(greeted(*(frame(json.dumps({"id": n, "ok": True, **said}).encode()) for n in (2, 3))))
    (run_dir.path / "h").mkdir(exist_ok=True)
    run_dir.note("kernel-k", {"process": "k.1", "key": "aa", "variables": "repl"})
    workspace = live(run_dir, hostile_host)
    assert workspace.saved_kernels() == []
    found = workspace.find_kernel("k")
    assert found is not None
    assert found[0].exit is not None
    workspace.agent.close()


def test_flood_of_events_is_bounded(
    agent: Make, run_dir: RunDir, hostile_host: Host, caplog: pytest.LogCaptureFixture
) -> None:  # fmt: skip
    """A hundred thousand events leave a bounded trace in the host's memory and log."""
    noise = frame(json.dumps({"event": "preload", "module": "m" * 900, "ok": False, "reason": "r" * 900}).encode())
    agent(greeted(noise * 100_000 + frame(b'{"id":2,"ok":true}')))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    workspace = live(run_dir, hostile_host)
    workspace.agent.call("usage", timeout=60)
    assert len(caplog.records) <= 100
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 250 * 1024  # the 190 MB are this test's own
    workspace.agent.close()


# -- frames, fuzzed --------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(st.binary(max_size=64), st.binary(max_size=40).map(frame)), max_size=20))
def test_any_bytes_are_frames_or_an_error(chunks: list[bytes]) -> None:
    """Arbitrary bytes, arbitrarily cut, give objects or ProtocolError, and never more is kept than one frame."""
    reader = FrameReader()
    try:
        for chunk in chunks:
            assert all(isinstance(message, dict) for message in reader.feed(chunk))
            assert len(reader._buffer) <= FRAME_MAX + 4
    except ProtocolError:
        pass


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=100).map(lambda t: t.encode("utf-8", "surrogatepass"))))
def test_any_body_is_an_object_or_an_error(body: bytes) -> None:
    """Decoding never raises anything but ProtocolError."""
    try:
        assert isinstance(decode(body), dict)
    except ProtocolError:
        pass


JSON = st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.text()), lambda c: st.lists(c, max_size=3))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=4), st.integers(1, 50))
def test_frames_survive_any_cutting(messages: list[dict[str, Any]], size: int) -> None:
    """What was encoded comes out the same, however the stream is cut."""
    stream, reader = b"".join(map(encode, messages)), FrameReader()
    out = [m for i in range(0, len(stream), size) for m in reader.feed(stream[i : i + size])]
    assert out == messages
