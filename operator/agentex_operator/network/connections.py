"""The transports of httpx for connections to the outside: a direct one, one for each proxy, and for API endpoints.

A transport is made anew when the trusted certificates change; the one before ends with its last answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import httpx

from agentex_operator.core import guard
from agentex_operator.core.endpoints import DEFAULT_PORTS
from agentex_operator.network import addresses
from agentex_operator.network.proxies import Proxies
from agentex_operator.network.trust import Trust

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

    from agentex_operator.network.addresses import IpAddress, Resolve

PROXY: Final = "agentex_proxy"   # the extension of a request that names its proxy; without it, it is sent directly
MOST_ADDRESSES: Final = 3        # of one name, tried one after another
_PROXY_WANTS_PASSWORD: Final = 407


@dataclass(frozen=True, slots=True)
class Routes:
    """What all connections share: the trusted certificates, the proxies, and how names are resolved."""

    trust: Trust = field(default_factory=Trust)
    proxies: Proxies = field(default_factory=Proxies)
    resolve: Resolve = addresses.resolve_by_dns


class Transports(httpx.AsyncBaseTransport):
    """Sends each request by the proxy that it names (PROXY), or directly; `context` answers the present TLS context."""

    def __init__(self, context: Callable[[], ssl.SSLContext], limits: httpx.Limits | None = None) -> None:
        self._context = context
        self._limits = limits or httpx.Limits()
        self._pools: dict[str | None, _Pool] = {}
        self._is_closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request over a connection that trusts the present certificates.

        Raises httpx.ProxyError where there is no connection by the proxy, or the proxy asks for a password.
        """
        proxy = request.extensions.get(PROXY)
        pool = await self._pool(proxy)
        return await (pool.send(request) if proxy is None else _by_proxy(pool, request))

    async def aclose(self) -> None:
        """Close all connections, and open no others: a request may still wait for the DNS."""
        self._is_closed = True
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.transport.aclose()

    async def _pool(self, proxy: str | None) -> _Pool:
        if self._is_closed:
            raise httpx.ConnectError("the connections were closed")
        context, pool = self._context(), self._pools.get(proxy)
        if pool is not None and pool.context is context:
            return pool
        self._pools[proxy] = _Pool(context, self._transport(context, proxy))
        if pool is not None:
            await pool.retire()
        return self._pools[proxy]

    def _transport(self, context: ssl.SSLContext, proxy: str | None) -> httpx.AsyncHTTPTransport:
        secured = context if proxy and proxy.startswith("https://") else None
        with guard.raising(lambda _error: httpx.ConnectError("the proxy of the environment cannot be used")):
            through = None if proxy is None else httpx.Proxy(proxy, ssl_context=secured)
        return httpx.AsyncHTTPTransport(verify=context, trust_env=False, limits=self._limits, proxy=through)


async def _by_proxy(pool: _Pool, request: httpx.Request) -> httpx.Response:
    """The answer of the server behind the proxy. Raises httpx.ProxyError for an answer of the proxy itself."""
    try:
        response = await pool.send(request)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
        if "[SSL" in str(error):  # the certificate of the server, or of a proxy that reads what goes through it
            raise
        raise httpx.ProxyError(str(error) or type(error).__name__, request=request) from error
    if response.status_code == _PROXY_WANTS_PASSWORD:
        await response.aclose()
        raise httpx.ProxyError("407 Proxy Authentication Required", request=request)
    return response


@dataclass(slots=True)
class _Pool:
    """The connections under one TLS context. Retired, it is closed after its last answer."""

    context: ssl.SSLContext
    transport: httpx.AsyncHTTPTransport
    in_use: int = 0
    is_retired: bool = False

    async def send(self, request: httpx.Request) -> httpx.Response:
        self.in_use += 1
        try:
            response = await self.transport.handle_async_request(request)
        except BaseException:
            await self.release()
            raise
        response.stream = _CountedStream(response.stream, self)
        return response

    async def release(self) -> None:
        self.in_use -= 1
        await self._close_if_done()

    async def retire(self) -> None:
        self.is_retired = True
        await self._close_if_done()

    async def _close_if_done(self) -> None:
        if self.is_retired and self.in_use <= 0:
            await self.transport.aclose()


class _CountedStream(httpx.AsyncByteStream):
    """The body of an answer, whose end releases the pool."""

    def __init__(self, stream: httpx.SyncByteStream | httpx.AsyncByteStream, pool: _Pool) -> None:
        self._stream, self._pool = stream, pool
        self._is_open = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:  # type: ignore[union-attr]  # an asynchronous transport answers such a stream
            yield chunk

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()  # type: ignore[union-attr]  # as above
        finally:
            if self._is_open:
                self._is_open = False
                await self._pool.release()


class CheckedTransport(httpx.AsyncBaseTransport):
    """Connects only to addresses that `problem` finds no fault with, or by the proxy of the environment.

    `refused` makes the exception for a fault; it is raised before anything is sent. By a proxy, the proxy resolves the
    name, so only the name, or a literal address, can be checked.
    """

    def __init__(self, routes: Routes, context: Callable[[], ssl.SSLContext], limits: httpx.Limits, *,
                 may_be_private: bool, refused: Callable[[str], Exception]) -> None:
        self._routes, self._refused, self._may_be_private = routes, refused, may_be_private
        self._transports = Transports(context, limits)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request to the first checked address that accepts a connection, or by the proxy."""
        url = request.url
        host, port = url.raw_host.decode("ascii", "replace"), url.port or DEFAULT_PORTS[url.scheme]
        if not self._may_be_private and (problem := addresses.problem_of_name(host)) is not None:
            raise self._refused(problem)
        proxy = self._routes.proxies.find(url.scheme, host, port)
        if proxy is not None:
            self._check(host, () if (written := addresses.literal(host)) is None else (written,))
            return await self._transports.handle_async_request(with_extensions(request, url, {PROXY: proxy}))
        return await self._send_directly(request, host, await self._checked_addresses(host, port))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transports.aclose()

    async def _send_directly(self, request: httpx.Request, host: str, found: tuple[IpAddress, ...]) -> httpx.Response:
        failure: httpx.TransportError = httpx.ConnectError(f"{host} has no address", request=request)
        for address in found[:MOST_ADDRESSES]:
            there = with_extensions(request, request.url.copy_with(host=str(address)), {"sni_hostname": host})
            try:
                return await self._transports.handle_async_request(there)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _checked_addresses(self, host: str, port: int) -> tuple[IpAddress, ...]:
        try:
            found = await addresses.addresses_of(host, port, self._routes.resolve)
        except OSError as error:
            raise httpx.ConnectError(f"the name {host} cannot be resolved") from error
        self._check(host, found)
        return found

    def _check(self, host: str, found: tuple[IpAddress, ...]) -> None:
        for address in found:
            problem = addresses.problem_of_address(host, address, may_be_private=self._may_be_private)
            if problem is not None:
                raise self._refused(problem)


def with_extensions(request: httpx.Request, url: httpx.URL, extensions: dict[str, str]) -> httpx.Request:
    """The same request to another URL; the Host header stays, and the body was not read yet."""
    with guard.raising(lambda _error: httpx.ConnectError("the request cannot be sent to this address")):
        return httpx.Request(request.method, url, headers=request.headers, stream=request.stream,
                             extensions={**request.extensions, **extensions})
