"""Downloading an archive: every address is checked before it is asked, every byte is counted and hashed on arrival."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final

import httpx

from agentex_operator.core import guard, reasons
from agentex_operator.core.errors import ExternalError, InvalidInput, NotReady, Unavailable
from agentex_operator.network.connections import MOST_ADDRESSES, PROXY, Transports
from agentex_operator.network.trust import Trust
from agentex_operator.settings import version
from agentex_operator.sources.addresses import AddressPolicy, Target, redirected, shown
from agentex_operator.sources.limits import full_disk_is_temporary, too_large
from agentex_operator.sources.validators import Validators

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

_MOST_HOPS: Final = 3        # redirects followed
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_NOT_MODIFIED: Final = 304


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: for the whole download, for a connection, and between two chunks."""

    whole: float = 600.0
    connect: float = 10.0
    idle: float = 30.0


@dataclass(frozen=True, slots=True)
class DownloadRequest:
    """What to download. `digest`: `sha256:` and 64 hex digits; None admits any content. `largest`: bytes.

    `authorization`: a header's value. `ca`: certificates (PEM) that are trusted too. `secret`: the name of the Secret
    of both, for messages. `unless`: the validators of an earlier response, whose content need not be sent again.
    """

    url: str
    digest: str | None
    largest: int
    authorization: str | None = field(default=None, repr=False)
    ca: str = ""
    secret: str | None = None
    unless: Validators = field(default_factory=Validators)


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A download that was written: its bytes, its digest, and what the server says of the content."""

    size: int
    digest: str
    validators: Validators


@dataclass(frozen=True, slots=True)
class Downloader:
    """Fetches archives. `transport` makes the transport of the requests; None: the network, with this `trust`."""

    policy: AddressPolicy
    timeouts: Timeouts = Timeouts()
    transport: Callable[[], httpx.AsyncBaseTransport] | None = None
    trust: Trust | None = None

    async def download(self, request: DownloadRequest, out: Path) -> Downloaded | None:
        """Write the archive to the new file `out`; None if the server answers that it has not changed.

        Content with another digest than that of the request is refused. Raises InvalidInput: InvalidURL,
        ContextTooLarge, DigestMismatch, SourceRejected. NotReady: SourceNotFound, SourceUnauthorized. Unavailable: 5xx,
        408, 429, timeouts, no connection, a full disk.
        """
        path = [shown(request.url)]
        with _naming_the_redirects(path), guard.raising(lambda error: _temporary(f"{path[0]} {self._problem(error)}")):
            async with asyncio.timeout(self.timeouts.whole), self._client(request.ca) as client:
                return await self._following(client, request, out, path)

    def _problem(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"did not answer in full within {self.timeouts.whole:g} s"
        return f"cannot be read: {_kind_of_failure(error)}"

    def _client(self, ca: str) -> httpx.AsyncClient:
        """A client for one download, which reads no environment, follows no redirects and keeps no connections."""
        trust = self.trust or Trust()
        transport = self.transport or (lambda: Transports(lambda: trust.context(ca)))
        return httpx.AsyncClient(
            transport=transport(), trust_env=False, follow_redirects=False,
            timeout=httpx.Timeout(self.timeouts.idle, connect=self.timeouts.connect),
            headers={"User-Agent": f"agentex-operator/{version()}", "Accept": "*/*", "Accept-Encoding": "identity"},
        )

    async def _following(self, client: httpx.AsyncClient, request: DownloadRequest, out: Path,
                         path: list[str]) -> Downloaded | None:
        """Follow redirects, each checked like the first address; credentials are sent to the first origin only.

        Each address that is redirected to is added to `path`.
        """
        first = target = await self.policy.check(request.url)
        for _ in range(_MOST_HOPS + 1):
            async with self._asked(client, target, _headers(request, target.origin == first.origin)) as response:
                if response.status_code == _NOT_MODIFIED and request.unless.conditions:
                    return None
                if response.status_code not in _REDIRECTS:
                    _require_success(response.status_code, request, is_first_origin=target.origin == first.origin)
                    return await _received(response, request, out)
                client.cookies.clear()
                location = redirected(target, response.headers.get("Location", ""))
            path.append(shown(location))
            target = await self.policy.check(location)
        raise InvalidInput(reasons.INVALID_URL, f"{shown(request.url)} redirects more than {_MOST_HOPS} times. Name "
                                                "the final address in spec.source.http.url.")

    @asynccontextmanager
    async def _asked(self, client: httpx.AsyncClient, target: Target, headers: dict[str, str]
                     ) -> AsyncIterator[httpx.Response]:
        """The response to one GET, from the first address that accepts a connection; its body is not read yet."""
        response = await self._connected(client, target, headers)
        try:
            yield response
        finally:
            await response.aclose()

    async def _connected(self, client: httpx.AsyncClient, target: Target, headers: dict[str, str]) -> httpx.Response:
        if target.proxy is not None:
            return await client.send(_request(client, target, target.url, headers), stream=True)
        failure: httpx.TransportError | None = None
        for address in target.addresses[:MOST_ADDRESSES]:
            try:
                return await client.send(_request(client, target, target.at(address), headers), stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        raise failure or httpx.ConnectError("no address")


def _headers(request: DownloadRequest, is_first_origin: bool) -> dict[str, str]:
    """The headers beside the Host: the credentials, which only the first origin is sent, and the conditions."""
    credentials = {"Authorization": request.authorization} if request.authorization and is_first_origin else {}
    return credentials | request.unless.conditions


def _request(client: httpx.AsyncClient, target: Target, url: str, headers: dict[str, str]) -> httpx.Request:
    """A GET to a checked address, or by a proxy. The name is in the Host header, and the certificate must be for it."""
    route = {PROXY: target.proxy} if target.proxy else {"sni_hostname": target.host}
    return client.build_request("GET", url, headers={"Host": target.authority} | headers, extensions=route)


@contextmanager
def _naming_the_redirects(path: list[str]) -> Iterator[None]:
    """Add the addresses of all redirects to the message of an error; `path` begins with the address of the spec."""
    try:
        yield
    except ExternalError as error:
        if len(path) > 1:
            error.add_sentence(f"It was redirected: {' to '.join(path)}.")
        raise


def _require_success(status: int, request: DownloadRequest, *, is_first_origin: bool) -> None:
    """Raise the error for a status other than 200."""
    if status in {401, 403}:
        raise _unauthorized(status, request, is_first_origin=is_first_origin)
    if status != 200:
        raise _refusal(status, shown(request.url))


def _unauthorized(status: int, request: DownloadRequest, *, is_first_origin: bool) -> NotReady:
    """The error for a 401 or 403: credentials are missing, wrong, or not sent to the server that wants them."""
    if request.secret is None:
        step = "Name a Secret with credentials in spec.source.http.secretRef."
    elif not is_first_origin:
        step = (f"The credentials of Secret {request.secret!r} are sent to the first server only: put the address that "
                "needs them into spec.source.http.url.")
    elif request.authorization is None:
        step = (f"Secret {request.secret!r}, which spec.source.http.secretRef names, has certificates only: add the "
                "key bearerToken, or the keys username and password.")
    else:
        step = f"Correct the Secret {request.secret!r}, which spec.source.http.secretRef names."
    return NotReady(reasons.SOURCE_UNAUTHORIZED, f"{shown(request.url)} may not be read ({status}). {step}")


def _refusal(status: int, url: str) -> ExternalError:
    """The error for a status other than 200, 401 and 403."""
    if status in {404, 410}:
        return NotReady(reasons.SOURCE_NOT_FOUND, f"{url} does not exist ({status}). Publish it, or correct "
                                                  "spec.source.http.url.")
    if status in {408, 429} or status >= 500:
        return _temporary(f"{url} answered {status}", status)
    return InvalidInput(reasons.SOURCE_REJECTED, f"{url} answered {status} instead of an archive. Correct "
                                                 "spec.source.http.url.")


async def _received(response: httpx.Response, request: DownloadRequest, out: Path) -> Downloaded:
    """Write the body. Raises InvalidInput for a body that is too large or has another digest."""
    announced = response.headers.get("Content-Length", "")
    if announced.isdigit() and len(announced) < 20 and int(announced) > request.largest:
        raise _oversize(request)
    with full_disk_is_temporary(), _new_file(out) as file:
        size, digest = await _written(response, request, file)
    if request.digest not in (None, digest):
        raise InvalidInput(reasons.DIGEST_MISMATCH, f"{shown(request.url)} has the digest {digest}, but "
                           f"spec.source.http.digest is {request.digest}. Correct it if the new content is intended.")
    return Downloaded(size, digest, Validators.of(response.headers))


def _new_file(path: Path) -> BinaryIO:
    return path.open("xb")


async def _written(response: httpx.Response, request: DownloadRequest, file: BinaryIO) -> tuple[int, str]:
    """Write and hash the body; its size and digest. Raises at the first byte too many, and reads no more."""
    size, digest = 0, hashlib.sha256()
    async for chunk in response.aiter_raw(64 * 1024):
        size += len(chunk)
        if size > request.largest:
            raise _oversize(request)
        digest.update(chunk)
        file.write(chunk)
    return size, f"sha256:{digest.hexdigest()}"


def _oversize(request: DownloadRequest) -> InvalidInput:
    return too_large(f"{shown(request.url)} is larger than {request.largest:,} bytes")


def _temporary(what: str, status: int | None = None) -> Unavailable:
    """The error for a failure that may be temporary; the message says what to check if it is not."""
    return Unavailable(f"{what}. It is tried again; if this stays so, check spec.source.http.url.", status=status)


def _kind_of_failure(error: Exception) -> str:
    """The kind of failure, without the text of the error: it may contain addresses and paths."""
    if isinstance(error, httpx.TimeoutException):
        return "it did not answer in time"
    if isinstance(error, httpx.ProxyError):
        return "no connection by the proxy of the operator (HTTPS_PROXY, HTTP_PROXY, NO_PROXY: ask the administrator)"
    if isinstance(error, httpx.ConnectError):
        return "no connection, or its certificate cannot be trusted"
    known = isinstance(error, httpx.HTTPError | httpx.StreamError)
    return "the connection broke off" if known else f"the exchange failed ({type(error).__name__})"
