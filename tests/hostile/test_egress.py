"""A workspace with network `egress`: outwards only."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from syla_jupyter.workspaces.placement import default_workspace

from .conftest import Box, Host

NEAR = ["169.254.169.254", "100.100.100.200", "168.63.129.16", "10.0.0.1", "192.168.0.1"]
TRY = """
import json, socket
answers = {}
for host, port in TARGETS:
    try:
        socket.create_connection((host, port), 3).close()
        answers[host] = "connected"
    except OSError as exc:
        answers[host] = type(exc).__name__
print(json.dumps(answers))
"""

SERVE = """
import http.server, socket, threading
server = http.server.ThreadingHTTPServer(("0.0.0.0", 8765), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
socket.create_connection(("127.0.0.1", 8765)).close()
own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
own.connect(("203.0.113.1", 9))  # sends nothing; asks which address would be ours
result = own.getsockname()[0]
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the rules need root; see `syla doctor`")


@pytest.fixture(scope="module")
def egress_box(hostile_host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    root = tmp_path_factory.mktemp("root")
    spec, _ = default_workspace(hostile_host.app.settings, root, "python", Path("/nonexistent"))
    with hostile_host.box(spec) as box:
        yield box


@pytest.fixture
def listener() -> Iterator[tuple[int, list[str]]]:
    """Something on this host that listens on every address; (port, peers that got through)."""
    peers: list[str] = []
    with socket.create_server(("0.0.0.0", 0)) as server:

        def accept() -> None:
            try:
                while True:
                    connection, peer = server.accept()
                    peers.append(peer[0])
                    connection.close()
            except OSError:
                return

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1], peers
        server.shutdown(socket.SHUT_RDWR)


def test_what_is_near_is_refused(egress_box: Box, listener: tuple[int, list[str]]) -> None:
    """Metadata services, private networks and every address of this host refuse at once; nothing arrives here."""
    port, peers = listener
    routes = egress_box.run("cat", "/proc/net/route").out
    rows = [line.split() for line in routes.splitlines() if line.split()[1:2] == ["00000000"]]
    address = socket.inet_ntoa(int(rows[0][2], 16).to_bytes(4, "little"))
    targets = [(host, 80) for host in NEAR] + [(address, port), ("172.17.0.1", port)]
    answers = json.loads(egress_box.run("python3", "-c", f"TARGETS = {targets!r}\n{TRY}").out)
    assert answers == {host: "ConnectionRefusedError" for host, _ in targets}
    assert peers == []


def test_neighbours_do_not_see_one_another(hostile_host: Host, egress_box: Box, tmp_path: Path) -> None:
    """Two workspaces with a network cannot connect to each other."""
    spec, _ = default_workspace(hostile_host.app.settings, tmp_path, "python", Path("/nonexistent"))
    with hostile_host.box(spec) as other:
        address = other.in_kernel(SERVE)
        answers = json.loads(egress_box.run("python3", "-c", f"TARGETS = [({address!r}, 8765)]\n{TRY}").out)
        assert answers[address] != "connected"
