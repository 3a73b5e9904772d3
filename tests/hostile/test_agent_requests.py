"""Bad requests to a real agent: refused, and it lives. And links among a workspace's files: the host follows none out."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from syla_jupyter.agent.protocol import FRAME_MAX, FrameReader
from syla_jupyter.model.errors import AgentRefused, BadPath, StartFailed
from syla_jupyter.runtimes.agent_client import AgentClient
from syla_jupyter.workspaces.live import container_path

from .conftest import Box, Host, wait_until

KEY = b"k".hex()
GOOD = {"process": "x", "cwd": "/", "env": {}, "argv": ["true"], "key": KEY}


@pytest.fixture
def client(hostile_box: Box) -> Iterator[AgentClient]:
    """A second connection to the agent of the shared workspace, held to nothing."""
    client = AgentClient(hostile_box.workspace.run.agent_socket)
    yield client
    client.close()
    usage = hostile_box.workspace.agent.call("usage")
    assert usage["memory_bytes"] > 0, "the agent did not live on"


BAD: list[tuple[str, dict[str, Any]]] = [
    ("nonsense", {}),
    ("", {}),
    ("__init__", {}),
    ("start", {}),
    ("start", {**GOOD, "process": 1}),
    ("start", {**GOOD, "cwd": None}),
    ("start", {**GOOD, "key": "not hex"}),
    ("start", {**GOOD, "key": None}),
    ("start", {**GOOD, "env": 5}),
    ("start", {**GOOD, "env": {"A": 1}}),
    ("start", {**GOOD, "env": {"A\0B": "1"}}),
    ("start", {**GOOD, "env": {"A": "1\0"}}),
    ("start", {**GOOD, "env": {"": "1"}}),
    ("start", {**GOOD, "env": {"A=B": "1"}}),
    ("start", {**GOOD, "env": [["A", "1"]]}),
    ("start", {**GOOD, "argv": "true"}),
    ("start", {**GOOD, "argv": []}),
    ("start", {**GOOD, "argv": [1]}),
    ("command", {**GOOD, "argv": None}),
    ("command", GOOD),  # without descriptors
    ("signal", {"process": "x"}),
    ("signal", {"process": "x", "number": "9"}),
    ("signal", {"process": "x", "number": True}),
    ("signal", {"process": "x", "number": -1}),
    ("signal", {"process": "x", "number": 1000}),
    ("signal", {"process": ["x"], "number": 9}),
    ("renew", {}),
    ("renew", {"seconds": "1"}),
    ("renew", {"seconds": -1}),
    ("renew", {"seconds": float("nan")}),
    ("renew", {"seconds": float("inf")}),
    ("renew", {"seconds": 10**400}),
    ("deadline", {"seconds": None}),
    ("deadline", {"seconds": 10**400}),
    ("hello", {"version": 1}),
]


@pytest.mark.parametrize(("operation", "arguments"), BAD, ids=[f"{op} {args}"[:60] for op, args in BAD])
def test_bad_requests_are_refused(operation: str, arguments: dict[str, Any], client: AgentClient) -> None:
    """A request of another form is answered with bad_request, changes nothing, and the connection goes on."""
    before = client.call("usage")["kernels"]
    with pytest.raises(AgentRefused) as caught:
        client.call(operation, timeout=20, **arguments)
    assert caught.value.code == "bad_request"
    assert client.call("usage")["kernels"] == before


def test_what_cannot_be_started_is_refused(client: AgentClient) -> None:
    """A directory that is not there, a program that is not there and an environment too big each give a reason."""
    start = {"process": "y", "key": KEY, "env": {}, "cwd": "/"}
    cases = (
        {**start, "cwd": "/nonexistent"},
        {**start, "cwd": "/\0"},
        {**start, "env": {"A": "x" * 230_000}},
        {**start, "env": {"A": "x" * 205_000}, "cwd": "/nonexistent"},
        {**start, "env": {"A": "\ud800"}},
        {**start, "argv": ["/nonexistent"]},
        {**start, "argv": ["true"]},
        {**start, "argv": ["true", "x" * 200_000]},
    )
    for number, arguments in enumerate(cases):
        with pytest.raises(AgentRefused) as caught:
            client.call("start", timeout=30, **{**arguments, "process": f"y{number}"})
        assert caught.value.code in ("start_failed", "not_found"), arguments
    with pytest.raises(AgentRefused, match="limit"):
        client.call("start", **{**start, "env": {"A": "x" * (FRAME_MAX + 1)}})
    wait_until(lambda: client.call("usage")["waiting"] == 0)


def test_one_process_id_is_one_process(hostile_box: Box, client: AgentClient) -> None:
    """A second start or command under the id of a running process is refused, also while the first is on its way."""
    start = {"process": "twice", "key": KEY, "cwd": "/", "env": {}}
    first, second = client.submit("start", **start), client.submit("start", **start)
    assert first.result(30)["ok"]
    with pytest.raises(AgentRefused) as caught:
        second.result(30)
    assert caught.value.code == "exists"
    ends = os.pipe()
    with pytest.raises(AgentRefused) as caught:
        client.call("command", fds=(ends[0], ends[1], ends[1]), **{**GOOD, "process": "twice"})
    for end in ends:
        os.close(end)
    assert caught.value.code == "exists"
    assert client.call("signal", process="twice", number=9)["delivered"]
    wait_until(lambda: not client.call("signal", process="twice", number=0)["delivered"])


def test_second_claim_is_refused(hostile_box: Box) -> None:
    """A container is claimed once; who comes later is told and shut out."""
    with pytest.raises(AgentRefused, match="claimed"):
        AgentClient(hostile_box.workspace.run.agent_socket, claim=True)


def raw(box: Box, data: bytes) -> list[dict[str, Any]]:
    """Everything the agent answers to these bytes until it closes."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(10)
        peer.connect(str(box.workspace.run.agent_socket))
        reader, answers = FrameReader(), []
        try:
            peer.sendall(data)
            while more := peer.recv(65536):
                answers += reader.feed(more)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return list(answers)


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("!I", FRAME_MAX + 1),
        struct.pack("!I", 4) + b"\xff\xfe\xfd\xfc",
        struct.pack("!I", 2) + b"[]",
        struct.pack("!I", 200_000) + b"[" * 200_000,
        os.urandom(4096),
    ],
    ids=["oversized", "garbage", "no object", "deep", "random"],
)
def test_broken_frames_close_the_connection(data: bytes, hostile_box: Box) -> None:
    """The agent drops a peer that breaks the protocol without a word, and serves the others."""
    assert raw(hostile_box, data) == []
    assert hostile_box.workspace.agent.call("usage")["memory_bytes"] > 0


@pytest.mark.parametrize(
    "hello",
    [
        {"op": "hello", "version": 2},
        {"op": "hello"},
        {"op": "stop"},
        {"op": ["hello"]},
        {},
        {"op": "hello", "version": {}},
    ],
    ids=str,
)
def test_nothing_before_hello(hello: dict[str, Any], hostile_box: Box) -> None:
    """Anything but a hello of this version is refused, and the connection ends."""
    body = json.dumps({"id": 1, **hello}).encode()
    (answer,) = raw(hostile_box, struct.pack("!I", len(body)) + body)
    assert (answer["ok"], answer["code"]) == (False, "version")
    assert hostile_box.workspace.agent.call("usage")["memory_bytes"] > 0


def test_too_many_connections(hostile_box: Box) -> None:
    """A hundred connections at once do not shut out the one that holds the workspace."""
    peers = []
    for _ in range(100):
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(5)
        try:
            peer.connect(str(hostile_box.workspace.run.agent_socket))
        except BlockingIOError:
            break
        finally:
            peers.append(peer)
    assert hostile_box.workspace.agent.call("usage")["memory_bytes"] > 0
    for peer in peers:
        peer.close()
    AgentClient(hostile_box.workspace.run.agent_socket).close()


# -- links among the workspace's files -------------------------------------------------------------------------


def test_links_do_not_lead_the_host_out(hostile_host: Host) -> None:
    """A directory that code exchanged for a link to elsewhere is not where the next kernel starts, nor is it read."""
    directory = hostile_host.directory()
    (directory / "sub").mkdir()
    spec = hostile_host.spec("rw", directory)
    with hostile_host.box(spec) as box:
        assert container_path(spec, directory / "sub") == "/workspace/sub"
        box.python(
            "import os; os.rmdir('/workspace/sub'); os.symlink('/etc', '/workspace/sub')\n"
            "os.symlink('/root', '/workspace/up'); os.symlink('..', '/workspace/parent'); result = 1"
        )
        for name in ("sub", "up", "parent"):
            assert container_path(spec, directory / name) == "/workspace"
        passwd = box.python("result = open('/workspace/sub/passwd').read()")
        assert passwd != Path("/etc/passwd").read_text(), "the link was followed on the host"
    masked = replace(spec, masked=("workspaces",))
    (directory / "workspaces").mkdir()
    (directory / "other").symlink_to("workspaces")
    with pytest.raises(BadPath):
        container_path(masked, directory / "other")


def test_directory_exchanged_before_it_is_mounted(hostile_host: Host) -> None:
    """A directory exchanged for a link after it was chosen is not mounted: the link's target stays outside."""
    outside, directory = hostile_host.directory(), hostile_host.directory()
    (outside / "secret").write_text("outside")
    (directory / "sub").mkdir()
    spec = hostile_host.spec("rw", directory / "sub")
    with hostile_host.box(hostile_host.spec("rw", directory)) as attacker:
        attacker.python(
            f"import os; os.rmdir('/workspace/sub'); os.symlink({str(outside)!r}, '/workspace/sub'); result = 1"
        )
    try:
        with hostile_host.box(spec) as box:
            seen = box.python("import os; result = os.listdir('/workspace')")
    except (BadPath, StartFailed):
        return
    raise AssertionError(f"the workspace shows {seen}")
