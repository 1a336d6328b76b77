"""Which addresses a channel may reach: not the insides of the network this server stands in."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from bartizan.plugins.notification import Cause, Permanent, Retryable

Address = IPv4Address | IPv6Address

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Returns the addresses of a host and port, the best first. Raises OSError."""

METADATA = frozenset(
    ip_address(known)
    for known in ("168.63.129.16", "192.0.0.192", "100.100.100.200", "fd00:ec2::254")
)
"""Where clouds tell machines their secrets; the usual 169.254.169.254 is link-local."""

HARMLESS_LOOKING = tuple(
    ip_network(known) for known in ("192.0.0.0/24", "64:ff9b:1::/48", "fec0::/10", "::/96")
)
"""Not for the public, though some versions of `ipaddress` say so."""

NAT64 = ip_network("64:ff9b::/96")


async def system_addresses(host: str, port: int) -> list[str]:
    """Returns what the system's resolver says."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in found))


async def allowed_addresses(
    host: str, port: int, *, allow_private: bool, resolve: Resolve = system_addresses
) -> list[Address]:
    """Returns the addresses of `host` that may be reached.

    Raises Retryable if the name cannot be resolved, Permanent if none of them may be reached.
    """
    try:
        found = [ip_address(address) for address in await resolve(host, port)]
    except (OSError, ValueError):
        found = []
    if not found:
        raise Retryable("the host's name cannot be resolved")
    allowed = [address for address in found if may_reach(address, allow_private=allow_private)]
    if not allowed:
        raise Permanent("the host has no address that this channel may reach", Cause.CLIENT)
    return allowed


def may_reach(address: Address, *, allow_private: bool) -> bool:
    """Returns whether a channel may connect to `address`.

    Link-local addresses and those of cloud metadata are never reached.
    """
    inner = _inner(address)
    if inner != address:
        return may_reach(inner, allow_private=allow_private)
    if address.is_multicast or address.is_unspecified or address in METADATA:
        return False
    if address.is_link_local or (address.is_reserved and not address.is_loopback):
        return False
    return allow_private or (
        address.is_global and not any(address in network for network in HARMLESS_LOOKING)
    )


def _inner(address: Address) -> Address:
    """Returns the IPv4 address that an IPv6 one leads to, if it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo or address
