"""Replies to cells, and questions of cells, whose asker is not there.

A ROUTER drops what it cannot route. This one says so (ROUTER_MANDATORY), and the reply waits for its asker: a browser's
tab comes back under the identity it had, and the first thing it sends brings it what waits. The newest replies that
were sent are remembered too: of those on their way when the server was killed, `ask_again` gives the askers another.

Only `execute_reply` is kept, and only so much: nobody waits for a completion he asked for an hour ago. The socket's own
thread sends and receives; `suspect` and `ask_again` come from other threads.

A question (`input()`) waits in its own thread, which has nothing else to do before it is answered. That it was sent
does not mean that a server which was killed has got it; what is asked now is told to the next one (`Questions`).
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import Any, Deque, Dict, List, Optional

import zmq

REMEMBERED = 64
WAITING_BYTES = 1 << 20
DELIMITER = b"<IDS|MSG>"
SIGNATURE_BYTES = 32
ASK_SECONDS = 0.1


class Replies:
    def __init__(self, socket: Any) -> None:
        """Call before anything is received on the ROUTER `socket`."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._sent: Deque[List[bytes]] = deque(maxlen=REMEMBERED)
        self._suspect: List[List[bytes]] = []
        self._waiting: Dict[bytes, List[List[bytes]]] = {}
        self._send, self._receive = socket.send_multipart, socket.recv_multipart
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.send_multipart, socket.recv_multipart = self.send, self.receive

    def send(self, frames: Any, flags: int = 0, copy: bool = True, track: bool = False, **more: Any) -> Any:
        kept = self._kept(frames)
        try:
            # Never wait for a peer that takes nothing: to drop then is what a ROUTER does by itself.
            sent = self._send(frames, flags | zmq.DONTWAIT, copy, track, **more)
        except zmq.ZMQError as exc:
            if exc.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            if kept is not None:
                with self._lock:
                    self._wait(kept, len(self._waiting.get(kept[0], ())))
            return None
        if kept is not None:
            with self._lock:
                self._sent.append(kept)
        return sent

    def receive(self, *args: Any, **kwargs: Any) -> Any:
        frames = self._receive(*args, **kwargs)
        if self._waiting and os.getpid() == self._pid:
            with self._lock:
                waiting = self._waiting.pop(bytes(frames[0]), [])
            for reply in waiting:
                self.send(reply)
        return frames

    def suspect(self) -> None:
        """The last listener has gone: what was sent to it may not have arrived."""
        with self._lock:
            self._suspect = [*self._suspect, *self._sent][-REMEMBERED:]
            self._sent.clear()

    def ask_again(self, after: Optional[bytes]) -> None:
        """Of the suspect replies, those after the one signed `after` (None: all) wait for their askers."""
        with self._lock:
            suspect, self._suspect = self._suspect, []
            signatures = [_signature(reply) for reply in suspect]
            first = signatures.index(after) + 1 if after in signatures else 0
            for reply in reversed(suspect[first:]):  # they are older than what waits
                self._wait(reply, 0)

    def _kept(self, frames: Any) -> Optional[List[bytes]]:
        """The frames of a reply to a cell, in bytes; None for anything else, and in a forked child."""
        if len(frames) < 7 or os.getpid() != self._pid or b'"execute_reply"' not in bytes(frames[3]):
            return None
        return [bytes(frame) for frame in frames]

    def _wait(self, reply: List[bytes], place: int) -> None:
        self._waiting.setdefault(reply[0], []).insert(place, reply)
        while sum(len(f) for replies in self._waiting.values() for r in replies for f in r) > WAITING_BYTES:
            asker = next(iter(self._waiting))
            del self._waiting[asker][0]
            if not self._waiting[asker]:
                del self._waiting[asker]


def _signature(reply: List[bytes]) -> bytes:
    return reply[reply.index(DELIMITER) + 1][:SIGNATURE_BYTES]


class Questions:
    """What `input()` waits for, told from any thread."""

    def __init__(self, kernel: Any) -> None:
        """Call before the `kernel` runs anything."""
        self.asked: Dict[str, Any] = {}
        """Empty, or the id of the request whose code asks, the prompt, and whether it is for a password."""
        self._ask = kernel._input_request
        kernel._input_request = self.ask

    def ask(self, prompt: Any, ident: Any, parent: Any, password: bool = False) -> Any:
        self.asked = {"id": parent.get("header", {}).get("msg_id"), "prompt": str(prompt), "password": bool(password)}
        try:
            return self._ask(prompt, ident, parent, password=password)
        finally:
            self.asked = {}


def ask_when_he_is_there(socket: Any) -> None:
    """A send on the ROUTER `socket` returns when its addressee is connected; an interrupt ends the wait."""
    pid, send = os.getpid(), socket.send_multipart

    def wait_and_send(*args: Any, **kwargs: Any) -> Any:
        while True:
            try:
                return send(*args, **kwargs)
            except zmq.ZMQError as exc:
                if exc.errno != zmq.EHOSTUNREACH or os.getpid() != pid:
                    raise
                time.sleep(ASK_SECONDS)  # a ROUTER does not tell when somebody connects

    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    socket.send_multipart = wait_and_send
