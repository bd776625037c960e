"""The guard before every connection to the web: only public addresses, checked where they are dialled.

A name is resolved here and the connection goes to the very address that was checked, so an answer that
changes in between changes nothing. One private address among the answers refuses them all.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from protocol.errors import Refused

Resolve = Callable[[str, int], Awaitable[list[str]]]

_NOT_PUBLIC_4 = tuple(
    ip_network(block)
    for block in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24"),
        *("192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *("224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # a cloud's metadata service on a public-looking address
    )
)
_GLOBAL_6 = ip_network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    ip_network(block)
    for block in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarking
        "2001:db8::/32",
        "2002::/16",  # 6to4 carries an IPv4 address, private ones too
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
_ISATAP = {0x00005EFE, 0x02005EFE}


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether it is an address of the open internet; IPv6 outside of 2000::/3 never is: not mapped or
    translated IPv4 (NAT64), not unique local, not link-local, not multicast."""
    if isinstance(address, IPv4Address):
        return not any(address in block for block in _NOT_PUBLIC_4)
    if address not in _GLOBAL_6 or any(address in block for block in _NOT_PUBLIC_6):
        return False
    return int(address) >> 32 & 0xFFFFFFFF not in _ISATAP


async def system_resolve(host: str, port: int) -> list[str]:
    with suppress(ValueError):  # an address needs no thread to be looked up in
        return [str(ip_address(host))]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Guard:
    """`allow_private` names `host:port` pairs that may lie anywhere; it is meant for tests."""

    def __init__(self, allow_private: Collection[str] = (), resolve: Resolve = system_resolve) -> None:
        self._allowed = frozenset(pair.lower() for pair in allow_private)
        self._resolve = resolve

    async def address(self, host: str, port: int) -> str:
        """The address to dial for a host. Raises Refused where it has none or any of them is not public."""
        return (await self.addresses(host, port))[0]

    async def addresses(self, host: str, port: int) -> list[str]:
        """All that may be dialled, the likeliest first."""
        try:
            found = [ip_address(text) for text in await self._resolve(host, port)]
        except (OSError, ValueError, UnicodeError) as error:
            raise Refused("web.unresolved", f"{host[:200]!r} has no address") from error
        if not found:
            raise Refused("web.unresolved", f"{host[:200]!r} has no address")
        if f"{host}:{port}".lower() not in self._allowed:
            for address in found:
                if not is_public(address):
                    raise Refused(
                        "web.address_refused",
                        f"{host[:200]!r} is at {address}, which is not a public address",
                    )
        return [str(address) for address in found]
