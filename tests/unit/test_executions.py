"""Executions are kept by id within a count and a size; a kernel's messages are believed as far as they have a form."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from jupyter_client.session import Session

from syla_jupyter.model.clock import SystemClock
from syla_jupyter.model.errors import AgentRefused, Conflict
from syla_jupyter.workspaces.execution import Execution
from syla_jupyter.workspaces.executions import ExecutionCache
from syla_jupyter.workspaces.kernel_client import INVALID_MAX, MESSAGE_BYTES_MAX, KernelClient

KEY = b"0" * 64


def execution(id: str, size: int = 0) -> Execution:
    return Execution(id, "ok", "x" * size, "", None, (), None, 0.0, 0.0, False)


def test_the_least_recently_used_goes_first() -> None:
    """Reading counts as use."""
    cache = ExecutionCache(count_max=2)
    cache.put("w", execution("a"))
    cache.put("w", execution("b"))
    assert cache.get("w", "a") is not None
    cache.put("w", execution("c"))
    assert [cache.get("w", id) is not None for id in "abc"] == [True, False, True]
    assert cache.get("other", "a") is None


def test_large_ones_push_out_more_than_one() -> None:
    """The sum of sizes is bounded, and one too large for all is not kept at all."""
    cache = ExecutionCache(size_max=1000)
    for id in "abc":
        cache.put("w", execution(id, 300))
    cache.put("w", execution("d", 600))
    assert [cache.get("w", id) is not None for id in "abcd"] == [False, False, True, True]
    cache.put("w", execution("e", 2000))
    assert [cache.get("w", id) is not None for id in "cde"] == [True, True, False]


def test_a_workspace_is_forgotten() -> None:
    """With all it ran, and their sizes."""
    cache = ExecutionCache(size_max=1000)
    cache.put("w", execution("a", 900))
    cache.forget("w")
    cache.put("v", execution("b", 900))
    assert cache.get("w", "a") is None
    assert cache.get("v", "b") is not None


# -- a kernel that is no kernel ----------------------------------------------------------------------------------------


class Peer:
    """The other end, which may send anything."""

    def __init__(self, prefix: Path) -> None:
        self.context = zmq.Context()
        self.session = Session(key=KEY, signature_scheme="hmac-sha256")
        self.shell, self.iopub = self.context.socket(zmq.ROUTER), self.context.socket(zmq.XPUB)
        self.shell.bind(f"ipc://{prefix}-1")
        self.iopub.bind(f"ipc://{prefix}-2")

    def subscribed(self) -> None:
        assert self.iopub.poll(5000)
        self.iopub.recv()

    def publish(self, kind: str = "status", parent: Any = None, content: Any = None, key: bytes = KEY) -> None:
        session = Session(key=key, signature_scheme="hmac-sha256")
        session.send(self.iopub, kind, content or {}, parent=parent or {})

    def raw(self, *parts: Any) -> None:
        """Signed, whatever the parts are."""
        packed = [p if isinstance(p, bytes) else json.dumps(p).encode() for p in parts]
        self.iopub.send_multipart([b"<IDS|MSG>", self.session.sign(packed), *packed])


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[tuple[Peer, KernelClient]]:
    prefix = tmp_path / "k"
    other = Peer(prefix)
    with KernelClient(prefix, KEY, SystemClock()) as client:
        other.subscribed()
        yield other, client
    other.context.destroy(linger=0)


HEADER = {"msg_id": "1", "msg_type": "status", "username": "", "session": "", "date": "", "version": "5.3"}


@pytest.mark.parametrize(
    "parts",
    [
        (b"{", b"{}", b"{}", b"{}"),
        (b"\xff\xff", b"{}", b"{}", b"{}"),
        ([], {}, {}, {}),
        ({}, {}, {}, {}),
        (HEADER, [], {}, {}),
        (HEADER, {}, {}, [1]),
        (HEADER, {}, {}, b"[" * 100_000),
        ({**HEADER, "msg_type": 7}, {}, {}, {}),
        (HEADER, {"msg_id": [1]}, {}, {}),
        (HEADER, {}),
        (),
    ],
    ids=range(11),
)  # fmt: skip
def test_messages_without_a_form_are_left_out(peer: tuple[Peer, KernelClient], parts: tuple[Any, ...]) -> None:
    """The one after it is read."""
    other, client = peer
    other.raw(*parts)
    other.publish(parent={"msg_id": "mine"}, content={"execution_state": "idle"})
    seen = [client.receive(2.0), client.receive(0.5)]
    assert [m.parent for m in seen if m is not None and m.parent == "mine"] == ["mine"]


def test_another_key_is_not_believed(peer: tuple[Peer, KernelClient]) -> None:
    """A kernel of another container cannot speak for this one."""
    other, client = peer
    other.publish(parent={"msg_id": "mine"}, key=b"1" * 64)
    assert client.receive(0.5) is None


def test_a_flood_of_nonsense_ends_the_conversation(peer: tuple[Peer, KernelClient]) -> None:
    """Nobody is kept busy for ever."""
    other, client = peer
    for _ in range(INVALID_MAX + 2):
        other.raw(b"{", b"{}", b"{}", b"{}")
    with pytest.raises(AgentRefused, match="make no sense"):
        for _ in range(INVALID_MAX + 2):
            client.receive(1.0)


def test_a_message_too_large_is_not_taken(peer: tuple[Peer, KernelClient]) -> None:
    """The connection is cut instead, and made again: later messages come, and it is known that one is missing."""
    other, client = peer
    other.raw(HEADER, {"msg_id": "large"}, {}, b'{"a": "' + b"x" * MESSAGE_BYTES_MAX + b'"}')
    while not client.missed:
        assert client.receive(1.0) is None
    for _ in range(50):  # nobody tells when the new subscription is there
        other.publish(parent={"msg_id": "mine"})
        if (message := client.receive(0.1)) is not None:
            break
    assert message is not None
    assert message.parent == "mine"


def test_waiting_for_a_kernel_that_says_nothing_ends(peer: tuple[Peer, KernelClient]) -> None:
    """When the caller says so."""
    _, client = peer
    until = time.monotonic() + 0.2

    def keep_waiting() -> None:
        if time.monotonic() > until:
            raise Conflict("busy")

    with pytest.raises(Conflict):
        client.hear(keep_waiting=keep_waiting)
    assert time.monotonic() < until + 20
