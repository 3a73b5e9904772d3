"""The rules that keep workspaces with a network from what is near, as text."""

from __future__ import annotations

import ipaddress

import pytest

from syla_jupyter.runtimes.firewall import NEAR, name_servers, rules

METADATA = ("169.254.169.254", "100.100.100.200", "168.63.129.16")


@pytest.mark.parametrize("address", [*METADATA, "10.0.0.1", "172.31.0.1", "192.168.1.1", "127.0.0.1", "224.0.0.1"])
def test_near_addresses_are_in_a_refused_range(address: str) -> None:
    """Metadata services, private, loopback and multicast addresses are each in a refused range."""
    assert any(ipaddress.ip_address(address) in ipaddress.ip_network(network) for network in NEAR)


@pytest.mark.parametrize("address", ["1.1.1.1", "151.101.0.223", "203.0.113.80"])
def test_public_addresses_are_not_refused(address: str) -> None:
    """The outside stays reachable."""
    assert not any(ipaddress.ip_address(address) in ipaddress.ip_network(network) for network in NEAR)


def test_name_servers_are_let_through_for_names_only() -> None:
    """A private name server is reachable on port 53 and nothing else of it; one on the host's loopback is not."""
    servers = name_servers(
        ["# resolv\nnameserver 10.1.1.1\nnameserver 127.0.0.53\nnameserver fe80::1\n", "nameserver 10.1.1.1"]
    )
    assert servers == ["10.1.1.1"]
    lines = rules("syla0", servers, ["10.9.0.0/16"]).splitlines()
    assert [line for line in lines if "10.1.1.1" in line] == [
        f"-A SYLA-EGRESS -d 10.1.1.1/32 -p {protocol} --dport 53 -j RETURN" for protocol in ("udp", "tcp")
    ]
    allowed, refused = (
        lines.index("-A SYLA-EGRESS -d 10.9.0.0/16 -j RETURN"),
        lines.index("-A SYLA-EGRESS -d 10.0.0.0/8 -j REJECT"),
    )
    assert allowed < refused
    assert lines[-1] == "COMMIT"


def test_nothing_on_this_host_is_reachable() -> None:
    """Whatever comes from the bridge to the host itself is refused, but for answers to the host."""
    lines = [line for line in rules("syla0", [], []).splitlines() if line.startswith("-A SYLA-INPUT")]
    assert lines[-1] == "-A SYLA-INPUT -j REJECT"
    assert len(lines) == 2
