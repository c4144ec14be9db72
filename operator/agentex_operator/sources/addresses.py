"""Which URLs a context may be downloaded from: network/addresses.py has the rules for hosts and addresses.

Only https, only port 443 or 8443, only names and addresses of the public internet; any doubtful address is refused. A
`HOST:PORT` that the operator's settings allow is exempt from these rules, except for link-local addresses. A name is
resolved once, all of its addresses are checked, and the connection goes to one of these addresses. Where a proxy of the
environment is in between, the proxy resolves the name: then only the URL itself is checked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from agentex_operator.core import guard, reasons
from agentex_operator.core.endpoints import normal_host
from agentex_operator.core.errors import InvalidInput, Unavailable
from agentex_operator.core.scrubbing import scrubbed
from agentex_operator.network import addresses
from agentex_operator.network.addresses import IpAddress, Resolve, literal, resolve_by_dns
from agentex_operator.network.proxies import Proxies

_PORTS: Final = frozenset({443, 8443})
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_LONGEST_URL: Final = 8192


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that was checked, and where to connect for it.

    `addresses`: all of the name's, in the order of the DNS; none where `proxy` (a URL) resolves the name.
    """

    scheme: str
    host: str
    port: int
    request: str  # path and query, as written
    addresses: tuple[IpAddress, ...]
    proxy: str | None = None

    @property
    def origin(self) -> tuple[str, str, int]:
        """The origin (scheme, host, port), to which credentials are bound."""
        return self.scheme, self.host, self.port

    @property
    def url(self) -> str:
        """The URL by name, for a proxy."""
        return f"{self.scheme}://{self.authority}{self.request}"

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def at(self, address: IpAddress) -> str:
        """The URL with this address in place of the name."""
        host = f"[{address}]" if address.version == 6 else str(address)
        return f"{self.scheme}://{host}:{self.port}{self.request}"


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Which URLs may be asked. `allowed_hosts`: `HOST:PORT`s that the operator's settings allow, http included."""

    allowed_hosts: frozenset[str] = frozenset()
    resolve: Resolve = field(default=resolve_by_dns)
    proxies: Proxies = field(default_factory=Proxies)

    async def check(self, url: str) -> Target:
        """The URL with the addresses to connect to. Raises InvalidInput(InvalidURL), or Unavailable without DNS."""
        parts = _split(url)
        host, port = _host(parts), _port(parts)
        is_allowed = _one_spelling(f"{host}:{port}") in map(_one_spelling, self.allowed_hosts)
        if not is_allowed:
            _require_public_shape(parts.scheme, host, port)
        proxy = self.proxies.find(parts.scheme, host, port)
        found = await self._addresses(host, port) if proxy is None or literal(host) is not None else ()
        for address in found:
            _require_reachable(host, address, is_allowed=is_allowed)
        query = f"?{parts.query}" if parts.query else ""
        return Target(parts.scheme, host, port, f"{parts.path or '/'}{query}", found, proxy)

    async def _addresses(self, host: str, port: int) -> tuple[IpAddress, ...]:
        with guard.raising(lambda _error: _unresolved(f"{host} of the source cannot be resolved")):
            found = await addresses.addresses_of(host, port, self.resolve)
        if not found:
            raise _unresolved(f"{host} of the source has no address")
        return found


def redirected(target: Target, location: str) -> str:
    """The URL that a redirect leads to. Raises InvalidInput(InvalidURL) for one from https to http."""
    with guard.raising(lambda _error: refused("the server redirects to something that is no URL")):
        joined = urljoin(target.url, location)
    if target.scheme == "https" and not joined.lower().startswith("https://"):
        raise refused(f"the server redirects from https to {shown(joined) if '://' in joined else 'something else'}")
    return joined


def shown(url: str) -> str:
    """A URL without the parts that may be secret: user, password, query, fragment, and what looks like a credential."""
    rest = url.partition("?")[0].partition("#")[0]
    scheme, separator, after = rest.partition("://")
    authority, slash, path = after.partition("/")
    clean = f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"
    return scrubbed("".join(one if one.isprintable() else "?" for one in clean[:200]))


def refused(why: str) -> InvalidInput:
    """The error InvalidURL, with the reason why the address cannot be used."""
    return InvalidInput(reasons.INVALID_URL,
                        f"The source's address cannot be used: {why}. Correct spec.source.http.url.")


def _unresolved(what: str) -> Unavailable:
    return Unavailable(f"The name {what}. It is tried again; if this stays so, check spec.source.http.url.")


def _one_spelling(named: str) -> str:
    """A HOST:PORT in lower case and ASCII, with an address in its usual spelling; one that is none as it is."""
    host, _, port = named.rpartition(":")
    normal = guard.or_none(normal_host, host.strip("[]"))
    return named if normal is None else f"{normal}:{port.lstrip('0')}"


# --- the shape of a URL ---------------------------------------------------------------------------------------------


def _split(url: str) -> SplitResult:
    """The parts of a URL; only URLs in which all parsers find the same host pass. Raises InvalidInput(InvalidURL)."""
    if not url.isascii() or any(one <= " " or one == "\x7f" for one in url) or "\\" in url or len(url) > _LONGEST_URL:
        raise refused("it has a character that no URL has; write it in ASCII, percent-encoded")
    with guard.raising(lambda _error: refused("it is no URL")):
        parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS:
        raise refused("it must begin with https://")
    if "@" in parts.netloc:
        raise refused("it has a user name; put credentials into a Secret and name it in spec.source.http.secretRef")
    if parts.fragment or "%" in parts.netloc:
        raise refused("it has a fragment, or a percent sign in its host")
    return parts


def _host(parts: SplitResult) -> str:
    with guard.raising(lambda _error: refused("its host cannot be read")):
        host = parts.hostname or ""
    if not host or host.endswith(".") or ".." in host:
        raise refused("its host is missing, or ends with a dot")
    if ":" in host and literal(host) is None:
        raise refused("its host is no address")
    return host


def _port(parts: SplitResult) -> int:
    with guard.raising(lambda _error: refused("its port is no number")):
        port = parts.port
    return _DEFAULT_PORTS[parts.scheme] if port is None else port


def _require_public_shape(scheme: str, host: str, port: int) -> None:
    if scheme != "https":
        raise refused("it must begin with https://")
    if port not in _PORTS:
        raise refused(f"port {port} is not allowed; use 443 or 8443, or have {host}:{port} allowed by the operator's "
                      "--allowed-source-hosts")
    if (problem := addresses.problem_of_name(host)) is not None:
        raise refused(problem)


def _require_reachable(host: str, address: IpAddress, *, is_allowed: bool) -> None:
    """Raise InvalidInput for an address that is not public; for an allowed host, only for a link-local address."""
    problem = addresses.problem_of_address(host, address, may_be_private=is_allowed)
    if problem is not None:
        raise refused(problem)
