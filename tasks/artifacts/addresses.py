"""Which network addresses a name from a table or a gateway may lead to (pure).

Used by `door`, which asks about every answer of the resolver before it connects.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are an IPv4 address."""
SIX_TO_FOUR = IPv6Network("2002::/16")
"""RFC 3056: bits 16 to 48 are an IPv4 address."""
UNICAST = IPv6Network("2000::/3")
"""All global unicast IPv6 that was ever assigned; everything else is refused unread."""
TEREDO = IPv6Network("2001::/32")
ALSO_REFUSED = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments; older Pythons call parts of it global
    IPv4Network("192.88.99.0/24"),  # 6to4 relays, withdrawn by RFC 7526
    IPv4Network("168.63.129.16/32"),  # a public-looking address that is a cloud host's metadata service
)


def is_public(address: str) -> bool:
    """Whether `address` is a unicast address of the public internet.

    IPv4 addresses inside IPv6 (mapped, 6to4, NAT64) are unwrapped and judged by themselves. Text that
    is not an address, and an address with a scope (`fe80::1%eth0`), is not public.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    return _is_public_v4(ip) if isinstance(ip, IPv4Address) else _is_public_v6(ip)


def is_loopback(host: str) -> bool:
    """Whether `host` as written is this machine: `localhost` or a loopback address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_public_v4(ip: IPv4Address) -> bool:
    if any(ip in network for network in ALSO_REFUSED):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved)


def _is_public_v6(ip: IPv6Address) -> bool:
    if ip.scope_id is not None:
        return False
    inner = _wrapped_v4(ip)
    if inner is not None:
        return _is_public_v4(inner)
    return ip in UNICAST and ip not in TEREDO and ip.is_global


def _wrapped_v4(ip: IPv6Address) -> IPv4Address | None:
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip in NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    if ip in SIX_TO_FOUR:
        return ip.sixtofour
    return None
