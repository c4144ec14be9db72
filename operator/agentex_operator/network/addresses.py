"""Which hosts and addresses may be connected to: the rules against server-side request forgery (reliability.md §2f).

Only names and addresses of the public internet; any doubtful one is refused. An administrator can allow single hosts,
but never link-local addresses and others where clouds keep credentials. All addresses of a name are checked, and the
connection goes to one of the checked addresses: a later answer of the DNS has no effect.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from agentex_operator.core import guard

IpAddress = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]  # the addresses of a name; raises OSError

_LABEL: Final = r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(rf"({_LABEL}\.)+{_LABEL}")
_NUMERIC: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)")
_INSIDE: Final = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "svc", "default", "cluster",
                  "arpa", "test", "example", "invalid", "onion")
_OF_CLOUDS: Final = frozenset(map(ip_address, (  # services with credentials that are not at link-local addresses
    "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")))
_NAT64: Final = IPv6Network("64:ff9b::/96")
_NOT_PUBLIC: Final[tuple[IPv4Network | IPv6Network, ...]] = tuple(map(ip_network, (
    "168.63.129.16/32",  # Azure's own services, on a public address
    "192.88.99.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.175.48.0/24", "192.0.0.0/24",
    "::/8", "100::/8", "2001::/23", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fec0::/10",
)))


async def resolve_by_dns(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, as the system resolves it. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


async def addresses_of(host: str, port: int, resolve: Resolve) -> tuple[IpAddress, ...]:
    """The addresses of a host, in the order of the DNS; a literal address stands for itself. Raises OSError."""
    if (written := literal(host)) is not None:
        return (written,)
    with guard.raising(lambda error: OSError(f"{host} cannot be resolved: {type(error).__name__}")):
        return tuple(ip_address(one) for one in await resolve(host, port))


def literal(host: str) -> IpAddress | None:
    """The host as an address, if it is one in the usual spelling; else None."""
    return guard.or_none(ip_address, host)


def problem_of_name(host: str) -> str | None:
    """Why a host is not a public name, in words for a person; None for a public name and for an address."""
    if literal(host) is not None:
        return None
    labels = host.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        return f"{host} is an address in an unusual spelling"
    if not _NAME.fullmatch(host) or len(host) > 253:
        return f"{host} is not a full public name"
    if labels[-1] in _INSIDE or "svc" in labels or "localhost" in labels:
        return f"{host} is a name of an internal network"
    return None


def problem_of_address(host: str, address: IpAddress, *, may_be_private: bool) -> str | None:
    """Why the address of a host may not be connected to; None for a public one, and for an allowed private one."""
    if not _has_credentials(_embedded(address)) and (may_be_private or _is_public(address)):
        return None
    return f"{host} {'is' if str(address) == host else 'leads to'} an address that is not public"


def _is_public(address: IpAddress) -> bool:
    if address.version == 6 and address in _NAT64:
        return _is_public(_embedded(address))
    odd = address.is_multicast or address.is_reserved or address.is_unspecified or not address.is_global
    return not odd and not any(address in one for one in _NOT_PUBLIC)


def _has_credentials(address: IpAddress) -> bool:
    """Whether a cloud may answer at the address with credentials of the node."""
    return address.is_link_local or address in _OF_CLOUDS


def _embedded(address: IpAddress) -> IpAddress:
    """The IPv4 address that an IPv6 address stands for; else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64 or int(address) >> 32 == 0:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
