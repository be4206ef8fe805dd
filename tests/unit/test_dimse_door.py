"""Which source addresses our Storage SCP looks at."""

from ipaddress import ip_network

import pytest

from p2d.dimse.listener import Door

NETWORKS = (ip_network("10.1.2.0/24"), ip_network("192.168.7.7/32"), ip_network("fd00:1::/64"))


@pytest.mark.parametrize(
    "address", ["10.1.2.3", "192.168.7.7", "::ffff:10.1.2.3", "fd00:1::9", "fd00:1::9%eth0"]
)
def test_addresses_of_the_archive_are_admitted_in_any_notation(address: str) -> None:
    assert Door("::", 104, NETWORKS).admits(address)


@pytest.mark.parametrize(
    "address", ["10.1.3.3", "192.168.7.8", "::ffff:10.1.3.3", "fd00:2::9", "127.0.0.1", "::1"]
)
def test_other_addresses_are_not(address: str) -> None:
    assert not Door("::", 104, NETWORKS).admits(address)


def test_without_networks_every_address_is_admitted() -> None:
    assert Door("127.0.0.1", 104).admits("203.0.113.9")
