"""Which addresses are of the public internet."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reelsweep.tasks.artifacts.addresses import is_loopback, is_public

# fmt: off
PRIVATE = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255",
    "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.192", "192.0.2.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1",
    "255.255.255.255", "192.88.99.1", "168.63.129.16",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "2002:7f00:1::", "2002:a00:1::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "fe80::1", "fe80::1%eth0", "fc00::1",
    "fd00:ec2::254", "2606:4700::1%eth0", "ff02::1", "100::1", "5f00::1", "4000::1",
]
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "93.184.215.14", "172.15.0.1", "172.32.0.1", "100.63.255.255", "100.128.0.1",
    "2606:4700:4700::1111", "2a00:1450:4001:830::200e",
    "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1",
]
# fmt: on


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_off_the_public_internet_is_refused(address: str) -> None:
    """Loopback, link-local, private, shared, documentation, multicast and reserved are not public."""
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_public_internet_is_accepted(address: str) -> None:
    """Global unicast addresses are public, also when an IPv6 form wraps them."""
    assert is_public(address)


@pytest.mark.parametrize("text", ["", "localhost", "2130706433", "0x7f.1", "127.1", "8.8.8.8 ", "1.1.1.1.1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """Only the canonical text of an address is one; names and old spellings are not."""
    assert not is_public(text)


@settings(deadline=None, max_examples=60)
@given(st.ip_addresses(v=4))
def test_a_wrapped_address_is_judged_as_the_one_inside(inner: IPv4Address) -> None:
    """No IPv6 form of an IPv4 address opens a door that is closed to the address itself."""
    number = int(inner)
    forms = (0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80)
    judged = {is_public(str(IPv6Address(form))) for form in forms}
    assert judged == {is_public(str(inner))}


@settings(deadline=None, max_examples=60)
@given(st.ip_addresses(v=6))
def test_nothing_outside_unicast_is_public(address: IPv6Address) -> None:
    """An IPv6 address is public only in 2000::/3, or as the wrapping of an IPv4 address."""
    if is_public(str(address)):
        wraps = address.ipv4_mapped is not None or str(address).startswith("64:ff9b::")
        assert wraps or int(address) >> 125 == 1


def test_loopback_is_known_by_name_and_number() -> None:
    """`localhost` and loopback addresses are this machine, nothing else is."""
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1")))
    assert not any(map(is_loopback, ("localhost.example.com", "10.0.0.1", "example.com", "")))
