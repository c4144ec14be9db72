"""The address of an account's remote API: its one spelling, and which addresses the administrator allows.

An API key is sent to the endpoint of its account. Whoever may create an AgentexAccount names both the endpoint and the
Secret, so the endpoints that keys may go to are the administrator's choice (`--allowed-endpoints`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

from agentex_operator.core import guard, reasons
from agentex_operator.core.errors import InvalidInput

DEFAULT_PORTS: Final = {"https": 443, "http": 80}
SPELLINGS_KEPT: Final = 256  # endpoints whose one spelling is remembered: each pass asks for it several times
_ANY_PORT: Final = "*"
_LABEL: Final = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"({_LABEL}\.)*{_LABEL}")
_NUMERIC: Final = re.compile(r"0x[0-9a-f]*|[0-9]+")
_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:@%]+)(:[0-9]{1,5})?")
_PATTERN: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:/@?#%\\\s]+)(:(?P<port>\*|[0-9]{1,5}))?")
_READ_DIFFERENTLY: Final = frozenset("ßςẞ\u200c\u200d")  # the two standards of international names disagree on these
_LONGEST_NAME: Final = 253
_ENCODED: Final = re.compile("%[0-9A-Fa-f]{2}")
_UNRESERVED: Final = {f"%{ord(one):02X}": one for one in map(chr, range(128)) if one.isalnum() or one in "-._~"}
_KEPT_IN_PATHS: Final = "/%:@!$&'()*+,;=-._~"  # by RFC 3986


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint in its one spelling. `host`: lower case, ASCII, without a trailing dot; an IPv6 address is bare."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """`host:port`, with brackets around an IPv6 address."""
        return f"{_bracketed(self.host)}:{self.port}"

    @property
    def url(self) -> str:
        """The URL without a trailing slash; the default port is left out."""
        shown = _bracketed(self.host) if self.port == DEFAULT_PORTS[self.scheme] else self.authority
        return f"{self.scheme}://{shown}{self.path}"


@dataclass(frozen=True, slots=True)
class EndpointPattern:
    """One entry of `--allowed-endpoints`.

    `host`: an exact host, or the suffix after `*` (`.example.com`; empty for `*`, every host) where `is_suffix`.
    `port`: None is the default port of the scheme, `*` any port.
    """

    host: str
    is_suffix: bool
    port: int | str | None

    def matches(self, endpoint: Endpoint) -> bool:
        """Whether the entry allows this endpoint; a suffix needs at least one label before it."""
        host = endpoint.host
        is_host = host.endswith(self.host) and host != self.host if self.is_suffix else host == self.host
        return is_host and self._has_port(endpoint)

    @property
    def names_one_host_and_port(self) -> bool:
        """Whether the entry is a host with a port: only such an entry allows an address that is not public."""
        return not self.is_suffix and self.port is not None

    def _has_port(self, endpoint: Endpoint) -> bool:
        wanted = DEFAULT_PORTS[endpoint.scheme] if self.port is None else self.port
        return wanted in (_ANY_PORT, endpoint.port)


@dataclass(frozen=True, slots=True)
class EndpointRules:
    """Which endpoints an account may have. `allowed`: None for an account that only administrators can create."""

    allowed: tuple[EndpointPattern, ...] | None = ()
    plain_allowed: bool = False

    @classmethod
    def of(cls, entries: tuple[str, ...], *, plain_allowed: bool) -> EndpointRules:
        """The rules of these entries. Raises ValueError for an entry that is no pattern."""
        return cls(tuple(parse_pattern(one) for one in entries), plain_allowed)

    @property
    def of_administrators(self) -> EndpointRules:
        """The same rules for a ClusterAgentexAccount, whose endpoint needs no entry."""
        return EndpointRules(None, self.plain_allowed)

    def refusal(self, endpoint: str) -> InvalidInput | None:
        """Why an account may not have this endpoint: InvalidURL, InvalidEndpoint or EndpointNotAllowed; else None."""
        try:
            read = parse(endpoint)
        except InvalidInput as error:
            return error
        if read.scheme != "https" and not self.plain_allowed:
            return InvalidInput(reasons.INVALID_ENDPOINT, f"The endpoint {read.url} is not https. Use https, or start "
                                "the operator with --allow-http-endpoints (for a local simulator only).")
        return None if self.allows(read) else _not_allowed(read)

    def allows(self, endpoint: Endpoint) -> bool:
        """Whether an entry allows this endpoint, or none is needed."""
        return self.allowed is None or any(one.matches(endpoint) for one in self.allowed)

    def may_be_private(self, endpoint: Endpoint) -> bool:
        """Whether the endpoint may be at an address that is not public: an administrator named exactly this one."""
        return self.allowed is None or any(one.names_one_host_and_port and one.matches(endpoint)
                                           for one in self.allowed)


def parse(text: str) -> Endpoint:
    """The endpoint in its one spelling. Raises InvalidInput(InvalidURL) where two parsers could find two hosts."""
    parts = _split(text)
    scheme = parts.scheme
    with guard.raising(_unreadable):
        host, port = normal_host(parts.hostname or ""), parts.port
    if port == 0:
        raise _invalid("port 0 is no port")
    return Endpoint(scheme, host, DEFAULT_PORTS[scheme] if port is None else port, normal_path(parts.path))


def are_the_same(one: str, another: str) -> bool:
    """Whether two spellings are the same endpoint, by RFC 3986.

    Aside are the case of scheme and host, the default port, a trailing slash or dot, and in the path dot segments and
    percent-encodings that mean the same.

    Text that `parse` refuses, as an older version may have stored, is the same as itself only.
    """
    return one_spelling(one) == one_spelling(another)


@lru_cache(maxsize=SPELLINGS_KEPT)
def one_spelling(text: str) -> str:
    """The URL of an endpoint in its one spelling; text that `parse` refuses as it is."""
    try:
        return parse(text).url
    except InvalidInput:
        return text


@dataclass(frozen=True, slots=True)
class RemoteAccount:
    """A remote account, as an account object or the status of a resource names it."""

    endpoint: str
    account_id: str

    def is_the_same_as(self, other: RemoteAccount) -> bool:
        """Whether both name one remote account, in whatever spelling of the endpoint."""
        return self.account_id == other.account_id and are_the_same(self.endpoint, other.endpoint)


def parse_pattern(text: str) -> EndpointPattern:
    """An entry of `--allowed-endpoints`: HOST, HOST:PORT, *.DOMAIN, with :* for any port. Raises ValueError."""
    found = _PATTERN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not HOST, HOST:PORT or *.DOMAIN, without scheme and path")
    host, port = found["host"], _port_of_pattern(found["port"])
    if host == "*":
        return EndpointPattern("", is_suffix=True, port=port)
    if host.startswith("*."):
        return EndpointPattern(f".{normal_host(host[2:])}", is_suffix=True, port=port)
    return EndpointPattern(normal_host(host.strip("[]")), is_suffix=False, port=port)


def normal_host(host: str) -> str:
    """The host in lower case, ASCII, without a trailing dot; an address in its usual spelling. Raises ValueError."""
    bare = host[:-1] if host.endswith(".") else host
    if ":" in bare:
        return _address(bare)
    name = _in_ascii(bare.lower())
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        raise ValueError(f"its host {host[:80]!r} is no name and no address")
    if _NUMERIC.fullmatch(name.rpartition(".")[2]):
        return _address(name)  # raises for 127.1 and 0x7f000001, which resolvers take for addresses
    return name


def normal_path(path: str) -> str:
    """The path without dot segments and trailing slashes, and with each character encoded only if it has to be."""
    decoded = _ENCODED.sub(lambda found: _UNRESERVED.get(found[0].upper(), found[0].upper()), path)
    kept: list[str] = []
    for segment in quote(decoded, safe=_KEPT_IN_PATHS).split("/"):
        if segment == "..":
            del kept[max(len(kept) - 1, 1):]
        elif segment != ".":
            kept.append(segment)
    return "/".join(kept).rstrip("/")


def _port_of_pattern(text: str | None) -> int | str | None:
    if text is None or text == _ANY_PORT:
        return text
    port = guard.or_none(int, text)
    if port is None or not 0 < port < 65536:
        raise ValueError(f"{text} is no port")
    return port


def _in_ascii(name: str) -> str:
    if name.isascii():
        return name
    if _READ_DIFFERENTLY & set(name):
        raise ValueError("its host has a character that programs read differently; write the host in ASCII (xn--...)")
    with guard.raising(lambda _error: ValueError(f"its host {name[:80]!r} is no international name")):
        return name.encode("idna").decode("ascii").lower()


def _address(host: str) -> str:
    with guard.raising(lambda _error: ValueError(f"its host {host[:80]!r} is not an address in the usual spelling")):
        return str(ip_address(host))


def _split(text: str) -> SplitResult:
    """The parts of a URL without user, query and fragment. Raises InvalidInput(InvalidURL)."""
    if not text.isprintable() or any(one in text for one in " \\?#"):  # a space is the only printable white space
        raise _invalid("it has a space, a backslash, a query or a fragment")
    with guard.raising(lambda _error: _invalid("it is no URL")):
        parts = urlsplit(text)
    if parts.scheme not in DEFAULT_PORTS or not parts.netloc:
        raise _invalid("it does not begin with https://host")
    if not _AUTHORITY.fullmatch(parts.netloc):
        raise _invalid("what follows https:// is not a host, or a host and a port")
    return parts


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _unreadable(error: Exception) -> InvalidInput:
    return _invalid(str(error) if type(error) is ValueError else "its host or port cannot be read")


def _invalid(why: str) -> InvalidInput:
    return InvalidInput(reasons.INVALID_URL, f"The endpoint cannot be used: {why}. It must look like "
                        "https://host/path; create the account anew with such an endpoint.")


def _not_allowed(endpoint: Endpoint) -> InvalidInput:
    return InvalidInput(
        reasons.ENDPOINT_NOT_ALLOWED,
        f"The endpoint {endpoint.url} is not one that this operator may send API keys to. Ask the administrator to add "
        f"{endpoint.authority} to --allowed-endpoints (chart: operator.allowedEndpoints) or to create a "
        "ClusterAgentexAccount; or create the account anew with an allowed endpoint.")
