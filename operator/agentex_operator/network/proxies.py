"""The proxies of the environment: HTTPS_PROXY, HTTP_PROXY and NO_PROXY, as Go programs read them.

They are for the remote API and for sources. The API server is reached through a proxy only if the kubeconfig says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, unquote, urlsplit

from agentex_operator.core import guard
from agentex_operator.core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SCHEMES: Final = ("http", "https")
_ENTRY: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]\s]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)"
                           r"(:(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class NoProxyEntry:
    """One entry of NO_PROXY. Exactly one of `network`, `suffix` and `host`. `port`: None is every port."""

    host: str = ""
    suffix: str = ""
    network: IPv4Network | IPv6Network | None = None
    port: int | None = None

    def matches(self, host: str, port: int) -> bool:
        """Whether connections to this host (lower case, without a trailing dot) and port use no proxy."""
        if self.port not in (None, port):
            return False
        if self.network is not None:
            address = _address(host)
            return address is not None and address.version == self.network.version and address in self.network
        return host.endswith(self.suffix) if self.suffix else host == self.host or host.endswith(f".{self.host}")


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxy of each scheme, and which hosts use none. `for_none`: NO_PROXY is `*`."""

    of_scheme: tuple[tuple[str, str], ...] = ()
    entries: tuple[NoProxyEntry, ...] = ()
    for_none: bool = False

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Proxies:
        """The proxies of these variables; the lower-case spelling is read where the other is empty or blank.

        Raises Unavailable for a proxy that cannot be used.
        """
        said = {name: _said(environment, name) for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")}
        urls = {scheme: said[f"{scheme.upper()}_PROXY"] for scheme in _SCHEMES}
        found = tuple((scheme, _proxy_url(scheme, url)) for scheme, url in urls.items() if url)
        words = [word for word in re.split(r"[,\s]+", said["NO_PROXY"]) if word]
        return cls(found, tuple(_entries(words)), "*" in words)

    def find(self, scheme: str, host: str, port: int) -> str | None:
        """The URL of the proxy for a connection to this host; None for a direct connection. Loopback uses none."""
        url, name = dict(self.of_scheme).get(scheme), host.lower().rstrip(".").strip("[]")
        if url is None or self.for_none or _is_loopback(name):
            return None
        return None if any(one.matches(name, port) for one in self.entries) else url

    @property
    def secrets(self) -> tuple[str, ...]:
        """The passwords in the URLs of the proxies, to be kept out of logs; a user name without one may be a token."""
        found = (guard.or_none(urlsplit, url) for _, url in self.of_scheme)
        written = [parts.password or parts.username or "" for parts in found if parts is not None]
        return tuple(dict.fromkeys(form for one in written if one for form in (one, unquote(one))))


def _said(environment: Mapping[str, str], name: str) -> str:
    """The value of a variable; a line break at its end is usual where the value comes from a Secret."""
    return environment.get(name, "").strip() or environment.get(name.lower(), "").strip()


def _proxy_url(scheme: str, text: str) -> str:
    url = text if "://" in text else f"http://{text}"
    with guard.raising(lambda _error: _unusable(scheme)):
        parts = urlsplit(url)
        usable = _is_usable(parts)
    if not usable:
        raise _unusable(scheme)
    return url


def _is_usable(parts: SplitResult) -> bool:
    return parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0


def _unusable(scheme: str) -> Unavailable:
    return Unavailable(f"the environment variable {scheme.upper()}_PROXY is not the URL of an http or https proxy: "
                       "write it like http://proxy.example.com:3128")


def _entries(words: Iterable[str]) -> Iterable[NoProxyEntry]:
    for word in words:
        network = guard.or_none(ip_network, word, strict=False) if "/" in word else None
        if network is not None:
            yield NoProxyEntry(network=network)
        elif (found := _ENTRY.fullmatch(word.lower())) is not None and word != "*":
            yield _entry(found["host"].strip("[]").rstrip("."), found["port"])


def _entry(host: str, digits: str | None) -> NoProxyEntry:
    port = None if digits is None else guard.or_none(int, digits)
    network = guard.or_none(ip_network, host)
    if network is not None:
        return NoProxyEntry(network=network, port=port)
    is_suffix = host.startswith((".", "*."))
    return NoProxyEntry(suffix=host.removeprefix("*"), port=port) if is_suffix else NoProxyEntry(host=host, port=port)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """The host as an address, if it is one; an IPv4 address that is written as an IPv6 address is an IPv4 address."""
    address = guard.or_none(ip_address, host)
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def _is_loopback(name: str) -> bool:
    address = _address(name)
    return name == "localhost" or (address is not None and address.is_loopback)
