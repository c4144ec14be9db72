"""HTTP requests to the API server: authenticated, with a timeout; reads are retried, the others sent once."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Any

import aiohttp
from kubernetes.aio.client.api_client import ApiClient

from agentex_operator.core import guard
from agentex_operator.core.errors import Throttled, Unavailable
from agentex_operator.kube import responses

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from kubernetes.aio.client.configuration import Configuration

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
FIELD_MANAGER = "agentex-operator"
TIMEOUT = aiohttp.ClientTimeout(total=30, connect=5)
READ_ATTEMPTS = 4


class Api:
    """Connections to the API server. Raises the errors of `responses.error_of`; Unavailable without a response."""

    def __init__(self, configuration: Configuration, user_agent: str) -> None:
        self._client = ApiClient(configuration)
        self._client.user_agent = user_agent

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()  # type: ignore[no-untyped-call]  # the library is half typed

    async def get(self, path: str, accept: str = JSON) -> dict[str, Any] | None:
        """Read one object or list; None if there is none. Retried while the server is busy or unavailable."""
        for attempt in range(1, READ_ATTEMPTS):
            try:
                return await self._read(path, accept)
            except (Unavailable, Throttled):
                await asyncio.sleep(0.2 * 2**attempt * random.uniform(0.5, 1))  # noqa: S311 - jitter is no secret
        return await self._read(path, accept)

    @contextlib.asynccontextmanager
    async def stream(self, path: str, accept: str, seconds: float) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """Open a response and give its JSON objects, line by line, until the server ends it; at most that many seconds.

        Raises on entry as `get` does, once; then Unavailable if the connection breaks or the time is over.
        """
        with guard.raising(lambda error: _unanswered("a watch", error)):
            response = await self._send("GET", path, None, {"Accept": accept},
                                        aiohttp.ClientTimeout(total=seconds, connect=5))
        try:
            if response.status >= 300:
                raise responses.error_of(response.status, response.headers, await _body(response))
            yield _lines(response)
        finally:
            response.close()

    async def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Merge-patch one object with one request; returns the object as it is afterwards."""
        path = f"{path}?fieldManager={FIELD_MANAGER}"
        return responses.parse(await self._write("PATCH", path, body, MERGE_PATCH))

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create one object with one request; returns the object as it was created."""
        return responses.parse(await self._write("POST", f"{path}?fieldManager={FIELD_MANAGER}", body))

    async def delete(self, path: str, options: Mapping[str, Any]) -> None:
        """Delete one object with one request, under the preconditions in `options` (meta/v1 DeleteOptions)."""
        await self._write("DELETE", path, options)

    async def _read(self, path: str, accept: str) -> dict[str, Any] | None:
        status, headers, body = await self._exchange("GET", path, accept=accept)
        if status == 404:
            return None
        if status >= 300:
            raise responses.error_of(status, headers, body)
        return responses.parse(body)

    async def _write(self, method: str, path: str, body: Mapping[str, Any], kind: str = JSON) -> bytes:
        status, headers, content = await self._exchange(method, path, body, kind)
        if status >= 300:
            raise responses.error_of(status, headers, content)
        return content

    async def _exchange(self, method: str, path: str, body: Mapping[str, Any] | None = None, kind: str = JSON,
                        accept: str = JSON) -> tuple[int, Mapping[str, str], bytes]:
        """Send one request; the status, headers and body of the response."""
        with guard.raising(lambda error: _unanswered(method, error)):
            response = await self._send(method, path, body, {"Accept": accept, "Content-Type": kind}, TIMEOUT)
            return response.status, response.headers, await response.read()

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str],
                    limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        """Send one request; the response, whose body is not read yet."""
        request = await self._client.param_serialize(
            method, path, header_params=dict(headers), body=body and dict(body), auth_settings=["BearerToken"]
        )
        answer = await self._client.call_api(*request, _request_timeout=limits)
        response: aiohttp.ClientResponse = answer.response
        return response


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    with guard.raising(lambda error: _unanswered("a watch", error)):
        async for line in response.content:
            yield responses.parse(line)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    with guard.raising(lambda error: _unanswered("a watch", error)):
        return await response.read()


def _unanswered(method: str, error: Exception) -> Unavailable:
    return Unavailable(f"the API server gave no answer to {method}: {type(error).__name__}")
