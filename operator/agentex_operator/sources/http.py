"""Downloading an archive: one address at a time, each judged first; every byte counted, and hashed as it comes."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final

import httpx

from agentex_operator.core import reasons
from agentex_operator.core.errors import ExternalError, InvalidInput, NotReady, Unavailable
from agentex_operator.settings import version
from agentex_operator.sources.addresses import AddressPolicy, Target, redirected, shown
from agentex_operator.sources.limits import full_disk_is_passing, too_large

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

_MOST_HOPS: Final = 3        # redirects followed
_MOST_ADDRESSES: Final = 3   # of one name, tried one after another
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds: of the whole download, until connected, and between two chunks."""

    whole: float = 600.0
    connect: float = 10.0
    idle: float = 30.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to download. `digest` is `sha256:` and 64 hex digits; `largest` in bytes. `authorization` is a header."""

    url: str
    digest: str
    largest: int
    authorization: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Downloader:
    """Fetches archives. `transport` makes what carries the requests: the network, unless told otherwise."""

    policy: AddressPolicy
    times: Times = Times()
    transport: Callable[[], httpx.AsyncBaseTransport] | None = None

    async def download(self, wanted: Wanted, out: Path) -> int:
        """Write the archive to a new file; its size in bytes. Nothing but the pinned content passes.

        Raises InvalidInput: InvalidURL, ContextTooLarge, DigestMismatch, SourceRejected. NotReady: SourceNotFound,
        SourceUnauthorized. Unavailable: 5xx, 408, 429, timeouts, no connection, a full disk.
        """
        try:
            async with asyncio.timeout(self.times.whole), self._client() as client:
                return await self._following(client, wanted, out)
        except TimeoutError as error:
            raise _passing(f"{shown(wanted.url)} did not answer in full within {self.times.whole:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise _passing(f"{shown(wanted.url)} cannot be read: {_what(error)}") from error

    def _client(self) -> httpx.AsyncClient:
        """A client for one download: no environment, no redirects, no cookies to carry on, no kept connections."""
        carrier = self.transport or (lambda: httpx.AsyncHTTPTransport(verify=_trust(), trust_env=False))
        return httpx.AsyncClient(
            transport=carrier(), trust_env=False, follow_redirects=False,
            timeout=httpx.Timeout(self.times.idle, connect=self.times.connect),
            headers={"User-Agent": f"agentex-operator/{version()}", "Accept": "*/*", "Accept-Encoding": "identity"},
        )

    async def _following(self, client: httpx.AsyncClient, wanted: Wanted, out: Path) -> int:
        """Follow redirects, each judged anew; credentials go to the first origin only."""
        first = target = await self.policy.judge(wanted.url)
        for _ in range(_MOST_HOPS + 1):
            header = wanted.authorization if target.origin == first.origin else None
            async with self._asked(client, target, header) as response:
                if response.status_code not in _REDIRECTS:
                    _require_success(response, wanted.url)
                    return await _received(response, wanted, out)
                client.cookies.clear()
                location = redirected(target, response.headers.get("Location", ""))
            target = await self.policy.judge(location)
        raise InvalidInput(reasons.INVALID_URL, f"{shown(wanted.url)} redirects more than {_MOST_HOPS} times. Name the "
                                                "final address in spec.source.http.url.")

    @asynccontextmanager
    async def _asked(self, client: httpx.AsyncClient, target: Target, header: str | None
                     ) -> AsyncIterator[httpx.Response]:
        """The answer to one GET, from the first address that can be connected to; its body is not read yet."""
        response = await self._connected(client, target, header)
        try:
            yield response
        finally:
            await response.aclose()

    async def _connected(self, client: httpx.AsyncClient, target: Target, header: str | None) -> httpx.Response:
        failure: httpx.TransportError | None = None
        for address in target.addresses[:_MOST_ADDRESSES]:
            try:
                return await client.send(_request(client, target, target.at(address), header), stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        raise failure or httpx.ConnectError("no address")


def _trust() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def _request(client: httpx.AsyncClient, target: Target, url: str, header: str | None) -> httpx.Request:
    """A GET to an address that was judged; the name is in the Host header, and is what the certificate must be for."""
    headers = {"Host": target.authority} | ({"Authorization": header} if header else {})
    return client.build_request("GET", url, headers=headers, extensions={"sni_hostname": target.host})


def _require_success(response: httpx.Response, url: str) -> None:
    if response.status_code != 200:
        raise _refusal(response.status_code, shown(url))


def _refusal(status: int, url: str) -> ExternalError:
    """What an answer other than 200 means."""
    if status in {404, 410}:
        return NotReady(reasons.SOURCE_NOT_FOUND, f"{url} does not exist ({status}). Publish it, or correct "
                                                  "spec.source.http.url.")
    if status in {401, 403}:
        return NotReady(reasons.SOURCE_UNAUTHORIZED, f"{url} may not be read ({status}). Correct the Secret that "
                                                     "spec.source.http.secretRef names.")
    if status in {408, 429} or status >= 500:
        return _passing(f"{url} answered {status}", status)
    return InvalidInput(reasons.SOURCE_REJECTED, f"{url} answered {status} instead of an archive. Correct "
                                                 "spec.source.http.url.")


async def _received(response: httpx.Response, wanted: Wanted, out: Path) -> int:
    """Write the body; the file is complete and is what was pinned, or an error is raised."""
    announced = response.headers.get("Content-Length", "")
    if announced.isdigit() and len(announced) < 20 and int(announced) > wanted.largest:
        raise _oversize(wanted)
    with full_disk_is_passing(), _new_file(out) as file:
        size, digest = await _written(response, wanted, file)
    if digest != wanted.digest:
        raise InvalidInput(reasons.DIGEST_MISMATCH, f"{shown(wanted.url)} has the digest {digest}, but "
                           f"spec.source.http.digest is {wanted.digest}. Correct it if this content is wanted.")
    return size


def _new_file(path: Path) -> BinaryIO:
    return path.open("xb")


async def _written(response: httpx.Response, wanted: Wanted, file: BinaryIO) -> tuple[int, str]:
    """Stops at the first byte too many; what comes after it is not read."""
    size, digest = 0, hashlib.sha256()
    async for chunk in response.aiter_raw(64 * 1024):
        size += len(chunk)
        if size > wanted.largest:
            raise _oversize(wanted)
        digest.update(chunk)
        file.write(chunk)
    return size, f"sha256:{digest.hexdigest()}"


def _oversize(wanted: Wanted) -> InvalidInput:
    return too_large(f"{shown(wanted.url)} is larger than {wanted.largest:,} bytes")


def _passing(what: str, status: int | None = None) -> Unavailable:
    """The Unavailable to raise: it may pass by itself; if not, the address is the place to look."""
    return Unavailable(f"{what}. It is tried again; if this stays so, check spec.source.http.url.", status=status)


def _what(error: Exception) -> str:
    """The kind of failure; its text may hold addresses and paths, its type does not."""
    if isinstance(error, httpx.TimeoutException):
        return "it did not answer in time"
    if isinstance(error, httpx.ConnectError):
        return "no connection, or its certificate cannot be trusted"
    return "the connection broke off"
