"""What a workspace with network `egress` may reach: the outside, and nothing near.

Refused from our bridge: this host itself, private, shared, link-local and multicast ranges, whatever the port; cloud
metadata services live there. Allowed back in by name: the name servers the host itself uses, and what the operator
lists.
The rules hang in `DOCKER-USER`, which the engine leaves to its users and consults before its own, and in `INPUT`; they
are put in place before a container joins the bridge. IPv6 is off on it.

Rules need root. Root gets them or an error, never an open network; for anybody else an administrator applies them once
(`sudo syla network protect`), and `syla doctor` says so.
"""

from __future__ import annotations

import ipaddress
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..model.errors import EngineError

CHAIN, INPUT_CHAIN = "SYLA-EGRESS", "SYLA-INPUT"
SECONDS = 10
NEAR = (
    "0.0.0.0/8",  # this network, RFC 1122
    "10.0.0.0/8",  # private, RFC 1918
    "100.64.0.0/10",  # carrier-grade NAT, RFC 6598; metadata at 100.100.100.200
    "127.0.0.0/8",
    "168.63.129.16/32",  # metadata
    "169.254.0.0/16",  # link-local, RFC 3927; metadata at 169.254.169.254
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/3",  # multicast and reserved
)
RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))


def name_servers(texts: Sequence[str]) -> list[str]:
    """IPv4 name servers of resolv.conf(5) texts that a container can reach: not the host's own loopback."""
    found = []
    for text in texts:
        for line in text.splitlines():
            match = re.match(r"\s*nameserver\s+(\S+)", line)
            try:
                address = ipaddress.IPv4Address(match[1]) if match else None
            except ValueError:
                continue
            if address is not None and not address.is_loopback and str(address) not in found:
                found.append(str(address))
    return found


def rules(bridge: str, servers: Sequence[str], allowed: Sequence[str]) -> str:
    """Input of `iptables-restore --noflush`: both chains, whole, in one step."""
    known = "-m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"
    lines = ["*filter", f":{CHAIN} - [0:0]", f":{INPUT_CHAIN} - [0:0]", f"-A {CHAIN} {known}"]
    for server in servers:
        lines += [f"-A {CHAIN} -d {server}/32 -p {protocol} --dport 53 -j RETURN" for protocol in ("udp", "tcp")]
    lines += [f"-A {CHAIN} -d {network} -j RETURN" for network in allowed]
    lines += [f"-A {CHAIN} -d {network} -j REJECT" for network in NEAR]
    lines += [f"-A {INPUT_CHAIN} {known}", f"-A {INPUT_CHAIN} -j REJECT", "COMMIT", ""]
    return "\n".join(lines)


def protect(bridge: str, allowed: Sequence[str]) -> None:
    """Put the rules in place; safe to call again. Raises EngineError when they cannot be."""
    servers = name_servers([path.read_text() for path in RESOLVERS if path.is_file()])
    _run(["iptables-restore", "-w", "--noflush"], rules(bridge, servers, allowed))
    for chain, target in (("DOCKER-USER", CHAIN), ("INPUT", INPUT_CHAIN)):
        jump = ["-i", bridge, "-j", target]
        if not _holds(["iptables", "-w", "-C", chain, *jump]):
            _run(["iptables", "-w", "-I", chain, "1", *jump])


def _holds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=SECONDS, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _run(command: list[str], text: str = "") -> None:
    hint = "Install iptables (`sudo apt-get install iptables`), or use network none"
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise EngineError(f"the network of the workspaces cannot be closed off: {exc}", hint) from exc
    if done.returncode:
        raise EngineError(f"the network of the workspaces cannot be closed off: {done.stderr.strip()[:300]}", hint)
