"""What a kernel prints while no server runs is kept for the next one.

Put into ipykernel where it sends: every message goes through the journal (in memory; on disk while nobody listens),
replies to cells and questions of `input()` whose asker has gone wait for him (`replies`). The next server asks, on the
control channel:

    syla_replay_request  {"after": signature or null, "live": bool, "limit_bytes": int, "replied": signature or null}
    syla_replay_reply    {"status": "ok", "end": bool, "missing_lines": int or null, "busy": bool, "question": {}},
                         one buffer: the messages, packed one behind the other (`journal.packed`)

`after` and `replied` are the first 32 characters of the signatures of the last output and the last `execute_reply` it
knows to have arrived, null when none did. `replied` is in one request only, and in none of a server that cannot know.
`question` is what `input()` waits for now (`replies.Questions`). It gets the messages alone, on its own connection, as
fast as it asks: published again they would reach other listeners twice, and be dropped where they came faster than
somebody reads.

Whether somebody listens is told by the socket's monitor, the same for all versions of ipykernel. Where one lacks what
is used here, the kernel goes on without.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Optional, Set

import zmq

PAGE_BYTES = 1 << 20
DIRECTORIES = ("/tmp",)


class Offline:
    """The journal and the waiting replies of one kernel. Nothing is kept before `arm`: it had another key."""

    def __init__(self, app: Any, journal: Any, replies: Any, questions: Any) -> None:
        self._journal, self._replies, self._questions = journal, replies, questions
        self._thread, self._session = app.iopub_thread, app.session
        self._pid = os.getpid()
        self._armed = False
        self._connections: Set[int] = set()
        self._send = self._thread._really_send
        app.kernel.control_handlers["syla_replay_request"] = self._answer
        self._thread._really_send = self._record
        self._thread.schedule(self._watch)

    def arm(self) -> None:
        """From here on, what is sent is signed with the key of whoever claimed the kernel."""
        self._thread.schedule(self._begin)

    # -- on the thread that publishes ----------------------------------------------------------------------------

    def _begin(self) -> None:
        self._connections.clear()  # who listens now has only warmed the kernel up
        self._armed = True

    def _record(self, frames: Any, *args: Any, **kwargs: Any) -> None:
        if self._armed and os.getpid() == self._pid:  # a forked child's way goes through the parent
            try:
                self._journal.record(frames)
            except Exception:  # whatever it is, it is not a message we could send again
                pass
        self._send(frames, *args, **kwargs)

    def _watch(self) -> None:
        from zmq.eventloop.zmqstream import ZMQStream

        monitor = self._thread.socket.get_monitor_socket(zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self._monitor = ZMQStream(monitor, self._thread.io_loop)
        self._monitor.on_recv(self._connection_changed)

    def _connection_changed(self, frames: Any) -> None:
        from zmq.utils.monitor import parse_monitor_message

        event = parse_monitor_message(frames)
        connection = event["value"]
        if event["event"] == zmq.EVENT_ACCEPTED:
            self._connections.add(connection)
        elif connection in self._connections:
            self._connections.discard(connection)
            if not self._connections:
                self._journal.hold()
                self._replies.suspect()

    # -- on the thread of the control channel ----------------------------------------------------------------------

    def _answer(self, stream: Any, ident: Any, request: Any) -> None:
        content = request["content"]
        if "replied" in content:
            self._replies.ask_again(_signature(content["replied"]))
        limit_bytes = max(0, min(int(content.get("limit_bytes", PAGE_BYTES)), PAGE_BYTES))
        found, bodies = self._journal.page(_signature(content.get("after")), content.get("live") is True, limit_bytes)
        found.update(status="ok", question=self._questions.asked)
        self._session.send(stream, "syla_replay_reply", found, request, ident, buffers=[b"".join(bodies)])


def _signature(text: Any) -> Optional[bytes]:
    return text.encode("ascii", "replace") if isinstance(text, str) and text else None


def install(app: Any, load: Callable[[str], Any]) -> Callable[[], None]:
    """Call when `app` is initialised, before it starts; gives what is to be called when the kernel is claimed."""
    try:
        directories = (os.path.expanduser("~"), *DIRECTORIES)
        journal = load("journal").Journal(load("spool").Spool(directories))
        replies = load("replies")
        questions = replies.Questions(app.kernel)
        arm = Offline(app, journal, replies.Replies(app.shell_socket), questions).arm
        replies.ask_when_he_is_there(app.stdin_socket)
        return arm
    except (AttributeError, TypeError, zmq.ZMQError):
        return lambda: None
