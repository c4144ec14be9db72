"""Which addresses a context may be downloaded from: the rules against server-side request forgery (reliability.md §2f).

Only https, only port 443 or 8443, only names and addresses of the public internet; any doubtful address is refused. A
`HOST:PORT` that the operator's settings allow is exempt from these rules, except for link-local addresses, where clouds
keep credentials. A name is resolved once, all of its addresses are checked, and the connection goes to one of these
addresses: a later answer of the DNS has no effect.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from agentex_operator.core import reasons
from agentex_operator.core.errors import InvalidInput, Unavailable

IpAddress = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]  # the addresses of a name; raises OSError

_PORTS: Final = frozenset({443, 8443})
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_LABEL: Final = r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(rf"({_LABEL}\.)+{_LABEL}")
_NUMERIC: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)")
_INSIDE: Final = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "svc", "default", "cluster",
                  "arpa", "test", "example", "invalid", "onion")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_NOT_PUBLIC: Final[tuple[IPv4Network | IPv6Network, ...]] = tuple(map(ip_network, (
    "168.63.129.16/32",  # Azure's own services, on a public address
    "192.88.99.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.175.48.0/24", "192.0.0.0/24",
    "::/8", "100::/8", "2001::/23", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fec0::/10",
)))
_LONGEST_URL: Final = 8192


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that was checked, and where to connect for it. `addresses`: all of the name's, in the order of the DNS."""

    scheme: str
    host: str
    port: int
    request: str  # path and query, as written
    addresses: tuple[IpAddress, ...]

    @property
    def origin(self) -> tuple[str, str, int]:
        """The origin (scheme, host, port), to which credentials are bound."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def at(self, address: IpAddress) -> str:
        """The URL with this address in place of the name."""
        host = f"[{address}]" if address.version == 6 else str(address)
        return f"{self.scheme}://{host}:{self.port}{self.request}"


async def resolve_by_dns(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, as the system resolves it. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Which URLs may be asked. `allowed_hosts`: `HOST:PORT`s that the operator's settings allow, http included."""

    allowed_hosts: frozenset[str] = frozenset()
    resolve: Resolve = field(default=resolve_by_dns)

    async def check(self, url: str) -> Target:
        """The URL with the addresses to connect to. Raises InvalidInput(InvalidURL), or Unavailable without DNS."""
        parts = _split(url)
        host, port = _host(parts), _port(parts)
        named = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        is_allowed = named in self.allowed_hosts
        if not is_allowed:
            _require_public_shape(parts.scheme, host, port)
        found = await self._addresses(host, port)
        for address in found:
            _require_reachable(host, address, is_allowed=is_allowed)
        query = f"?{parts.query}" if parts.query else ""
        return Target(parts.scheme, host, port, f"{parts.path or '/'}{query}", found)

    async def _addresses(self, host: str, port: int) -> tuple[IpAddress, ...]:
        if (literal := _literal(host)) is not None:
            return (literal,)
        try:
            found = await self.resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise Unavailable(f"The name {host} of the source cannot be resolved.") from error
        if not found:
            raise Unavailable(f"The name {host} of the source has no address.")
        return tuple(ip_address(one) for one in found)


def redirected(target: Target, location: str) -> str:
    """The URL that a redirect leads to. Raises InvalidInput(InvalidURL) for one from https to http."""
    joined = urljoin(f"{target.scheme}://{target.authority}{target.request}", location)
    if target.scheme == "https" and not joined.lower().startswith("https://"):
        raise refused("the server redirects from https to something else")
    return joined


def shown(url: str) -> str:
    """A URL without the parts that may be secret: user, password, query and fragment."""
    rest = url.partition("?")[0].partition("#")[0]
    scheme, separator, after = rest.partition("://")
    authority, slash, path = after.partition("/")
    clean = f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"
    return "".join(one if one.isprintable() else "?" for one in clean[:200])


def refused(why: str) -> InvalidInput:
    """The error InvalidURL, with the reason why the address cannot be used."""
    return InvalidInput(reasons.INVALID_URL,
                        f"The source's address cannot be used: {why}. Correct spec.source.http.url.")


# --- the shape of a URL ---------------------------------------------------------------------------------------------


def _split(url: str) -> SplitResult:
    """The parts of a URL; only URLs in which all parsers find the same host pass. Raises InvalidInput(InvalidURL)."""
    if not url.isascii() or any(one <= " " or one == "\x7f" for one in url) or "\\" in url or len(url) > _LONGEST_URL:
        raise refused("it has a character that no URL has; write it in ASCII, percent-encoded")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise refused("it is no URL") from error
    if parts.scheme not in _DEFAULT_PORTS:
        raise refused("it must begin with https://")
    if "@" in parts.netloc:
        raise refused("it has a user name; put credentials into a Secret and name it in secretRef")
    if parts.fragment or "%" in parts.netloc:
        raise refused("it has a fragment, or a percent sign in its host")
    return parts


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if not host or host.endswith(".") or ".." in host:
        raise refused("its host is missing, or ends with a dot")
    if ":" in host and _literal(host) is None:
        raise refused("its host is no address")
    return host


def _port(parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError as error:
        raise refused("its port is no number") from error
    return _DEFAULT_PORTS[parts.scheme] if port is None else port


def _literal(host: str) -> IpAddress | None:
    """The host as an address, if it is one in the usual spelling; else None."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def _require_public_shape(scheme: str, host: str, port: int) -> None:
    if scheme != "https":
        raise refused("it must begin with https://")
    if port not in _PORTS:
        raise refused(f"port {port} is not allowed; use 443 or 8443, or have {host}:{port} allowed by the operator's "
                      "--allowed-source-hosts")
    if _literal(host) is None:
        _require_public_name(host)


def _require_public_name(host: str) -> None:
    labels = host.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        raise refused(f"{host} is an address in an unusual spelling")
    if not _NAME.fullmatch(host) or len(host) > 253:
        raise refused(f"{host} is not a full public name")
    if labels[-1] in _INSIDE or "svc" in labels or "localhost" in labels:
        raise refused(f"{host} is a name of an internal network")


# --- addresses ------------------------------------------------------------------------------------------------------


def _require_reachable(host: str, address: IpAddress, *, is_allowed: bool) -> None:
    """Raise InvalidInput for an address that is not public; for an allowed host, only for a link-local address."""
    bare = _embedded(address)
    if bare.is_link_local or (not is_allowed and not _is_public(address)):
        where = "is" if str(address) == host else "leads to"
        raise refused(f"{host} {where} an address that is not public")


def _is_public(address: IpAddress) -> bool:
    if address.version == 6 and address in _NAT64:
        return _is_public(_embedded(address))
    odd = address.is_multicast or address.is_reserved or address.is_unspecified or not address.is_global
    return not odd and not any(address in one for one in _NOT_PUBLIC)


def _embedded(address: IpAddress) -> IpAddress:
    """The IPv4 address that an IPv6 address stands for; else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64 or int(address) >> 32 == 0:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
