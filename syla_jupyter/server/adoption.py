"""Kernels of a server that has ended become ours, before our first request is answered: same ids, same variables.

    ask      the provisioners, a thread for each workspace, all within ADOPT_SECONDS: does it run, where does it listen
    probe    all that run, at once: who answers on the shell channel within PROBE_SECONDS is idle, the others are busy
    install  what `start_kernel` of jupyter_client and jupyter_server would have left behind, without starting anything

A kernel that has ended is installed as *dead*: in every list with its reason, so that its notebook tells the person,
and restarted when asked to. One that could not be asked is dead too, and is asked again before it is restarted.

Nothing of the libraries below is meant for this: `USED` lists what is used of them though it is private, and a test
fails when a version lacks any of it.
"""

from __future__ import annotations

import queue
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import zmq
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.session import Session
from jupyter_server.prometheus.metrics import KERNEL_CURRENTLY_RUNNING_TOTAL

from ..model.clock import Clock
from ..model.errors import WorkspaceLost
from .records import KernelRecord

if TYPE_CHECKING:
    from .kernel import WorkspaceKernel
    from .kernels import WorkspaceKernelManager

ADOPT_SECONDS = 10.0
PROBE_SECONDS = 0.25
MESSAGE_BYTES_MAX = 1 << 20
DEAD = "dead"
NO_ANSWER = f"its container did not answer within {ADOPT_SECONDS:g} s. Restart the kernel to try again"

USED = {
    "jupyter_client.multikernelmanager:MultiKernelManager": ("_kernels", "_pending_kernels", "_add_kernel_when_ready"),
    "jupyter_client.manager:KernelManager": ("_launch_args", "_connect_control_socket", "_restarter", "_make_url"),
    "jupyter_client.manager:KernelManager.__init__": ("_attempted_start", "_ready"),
    "jupyter_client.ioloop.restarter:AsyncIOLoopKernelRestarter": ("_restarting", "_fire_callbacks"),
    "jupyter_server.services.kernels.kernelmanager:MappingKernelManager": (
        "_kernel_connections",
        "_kernel_ports",
        "_handle_kernel_died",
        "_kernel_buffers",
        "_finish_kernel_start",
    ),
    "jupyter_server.services.kernels.kernelmanager:MappingKernelManager.start_watching_activity": ("_activity_stream",),
    "jupyter_server.services.kernels.connection.channels:ZMQChannelsWebsocketConnection.request_kernel_info": (
        "_kernel_info_future",
    ),
    "jupyter_server.services.kernels.connection.channels:ZMQChannelsWebsocketConnection": ("_open_sockets",),
    "jupyter_server.services.sessions.sessionmanager:SessionManager": ("_connection",),
}


class Survivor(Protocol):
    """A provisioner whose kernels outlive the process that started them."""

    @property
    def workspace_id(self) -> str: ...

    @property
    def frozen(self) -> bool: ...

    def thaw(self) -> None: ...

    def saved(self) -> Mapping[str, str] | None: ...

    def adopt(self, saved: Mapping[str, str]) -> KernelConnectionInfo: ...


Wanted = Sequence[tuple[KernelRecord, Survivor]]
Answer = KernelConnectionInfo | Exception


def ask(wanted: Wanted, clock: Clock, seconds: float = ADOPT_SECONDS) -> Mapping[str, Answer]:
    """By kernel id: where it listens, or why it cannot be had. Blocks for `seconds` at most; who is missing did not
    answer."""
    rows: dict[str, list[tuple[KernelRecord, Survivor]]] = defaultdict(list)
    for record, survivor in wanted:
        rows[record.place.get("workspace", "")].append((record, survivor))
    found: queue.SimpleQueue[tuple[str, Answer]] = queue.SimpleQueue()
    for row in rows.values():
        threading.Thread(target=_ask, args=(row, found), name="syla-adopt", daemon=True).start()
    answers: dict[str, Answer] = {}
    until = clock.monotonic() + seconds
    while len(answers) < len(wanted):
        try:
            id, answer = found.get(timeout=max(0.0, until - clock.monotonic()))
        except queue.Empty:
            break
        answers[id] = answer
    return answers


def _ask(row: Wanted, found: queue.SimpleQueue[tuple[str, Answer]]) -> None:
    for record, survivor in row:
        try:
            found.put((record.id, survivor.adopt(record.place)))
        except Exception as exc:  # whatever it is, it is about this kernel alone
            found.put((record.id, exc))


def probe(
    connections: Mapping[str, KernelConnectionInfo], clock: Clock, seconds: float = PROBE_SECONDS
) -> Mapping[str, dict[str, Any]]:
    """By kernel id: the `kernel_info_reply` of those whose shell channel answers, so they run no cell."""
    answers: dict[str, dict[str, Any]] = {}
    poller = zmq.Poller()
    asked: dict[zmq.Socket[bytes], tuple[str, Session]] = {}
    with zmq.Context() as context:
        for id, info in connections.items():
            socket = context.socket(zmq.DEALER)
            socket.linger = 0
            socket.setsockopt(zmq.MAXMSGSIZE, MESSAGE_BYTES_MAX)
            socket.connect(f"{info['transport']}://{info['ip']}-{info['shell_port']}")
            key: Any = info["key"]
            session = Session(key=key, signature_scheme=info["signature_scheme"])
            session.send(socket, "kernel_info_request")
            asked[socket] = (id, session)
            poller.register(socket, zmq.POLLIN)
        until = clock.monotonic() + seconds
        while asked and (left := until - clock.monotonic()) > 0:
            for socket, _ in poller.poll(int(left * 1000) + 1):
                id, session = asked.pop(socket)
                poller.unregister(socket)
                content = _info(session, socket)
                socket.close()
                if content is not None:
                    answers[id] = content
        for socket in asked:
            socket.close()
    return answers


def _info(session: Session, socket: zmq.Socket[bytes]) -> dict[str, Any] | None:
    """None for what the kernel did not sign, or is no reply."""
    try:
        _, frames = session.feed_identities(socket.recv_multipart())
        content = session.deserialize(frames)["content"]
    except Exception:  # whatever unpacking makes of bytes from there: RecursionError, KeyError, ValueError
        return None
    return content if isinstance(content, dict) else None


def prepare(manager: WorkspaceKernelManager, record: KernelRecord) -> WorkspaceKernel:
    """A kernel manager as `start_kernel` makes it, with a provisioner that has not started anything."""
    kernel, _, _ = manager.pre_start_kernel(record.kernel_name, {"kernel_id": record.id})
    kernel.kernel_id = record.id
    launch: Any = {"env": dict(record.env), **({"cwd": record.cwd} if record.cwd else {})}
    kernel._launch_args = launch
    kernel._attempted_start = True
    kernel.ready.set_result(None)
    factory = KernelProvisionerFactory.instance(parent=manager)
    kernel.provisioner = factory.create_provisioner_instance(record.id, kernel.kernel_spec, parent=kernel)
    return kernel  # type: ignore[return-value] # what the factory of this manager makes


def install(
    manager: WorkspaceKernelManager,
    kernel: WorkspaceKernel,
    connection: KernelConnectionInfo,
    known: dict[str, Any] | None,
) -> None:
    """`known`: the kernel's word about itself; None for one that does not answer now."""
    kernel.load_connection_info(connection)
    kernel.write_connection_file()
    kernel.execution_state = "busy" if known is None and not kernel.frozen else "idle"
    # A websocket would ask a kernel that nobody has asked yet, and wait for the end of its cell.
    info: Future[dict[str, Any]] = Future()
    info.set_result(known or {})
    kernel._kernel_info_future = info
    _add(manager, kernel)
    kernel.start_restarter()
    kernel._connect_control_socket()
    manager.start_watching_activity(kernel.kernel_id)
    manager.add_restart_callback(kernel.kernel_id, partial(manager._handle_kernel_died, kernel.kernel_id), DEAD)


def install_dead(manager: WorkspaceKernelManager, kernel: WorkspaceKernel, reason: str) -> None:
    kernel.execution_state = DEAD
    kernel.reason = reason
    _add(manager, kernel)


def _add(manager: WorkspaceKernelManager, kernel: WorkspaceKernel) -> None:
    manager._kernels[kernel.kernel_id] = kernel
    manager._kernel_connections[kernel.kernel_id] = 0
    manager._kernel_ports[kernel.kernel_id] = kernel.ports  # of a dead one they change, so that it is watched again
    KERNEL_CURRENTLY_RUNNING_TOTAL.labels(type=kernel.kernel_name).inc()


def is_over(answer: Exception) -> bool:
    """Whether the kernel is gone for good, rather than out of reach for now."""
    return isinstance(answer, WorkspaceLost)
