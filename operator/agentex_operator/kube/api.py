"""One HTTP exchange with the API server: authenticated, bounded in time, reads tried again, writes never."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import aiohttp
from kubernetes.aio.client.api_client import ApiClient

from agentex_operator.core.errors import Throttled, Unavailable
from agentex_operator.kube import answers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubernetes.aio.client.configuration import Configuration

MERGE_PATCH = "application/merge-patch+json"
FIELD_MANAGER = "agentex-operator"
TIMEOUT = aiohttp.ClientTimeout(total=30, connect=5)
READ_ATTEMPTS = 4


class Api:
    """A shared connection pool. Raises what `answers.refusal` says; Unavailable where there was no answer at all."""

    def __init__(self, configuration: Configuration, user_agent: str) -> None:
        self._client = ApiClient(configuration)
        self._client.user_agent = user_agent

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()  # type: ignore[no-untyped-call]  # the library is half typed

    async def get(self, path: str) -> dict[str, Any] | None:
        """Read one object, None where there is none; tried again while the server is busy or away."""
        for attempt in range(1, READ_ATTEMPTS):
            try:
                return await self._read(path)
            except (Unavailable, Throttled):
                await asyncio.sleep(0.2 * 2**attempt * random.uniform(0.5, 1))  # noqa: S311 - jitter is no secret
        return await self._read(path)

    async def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Merge-patch one object, once; the object as it is afterwards."""
        path = f"{path}?fieldManager={FIELD_MANAGER}"
        return answers.parse(await self._write("PATCH", path, body, MERGE_PATCH))

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create one object, once."""
        return answers.parse(await self._write("POST", f"{path}?fieldManager={FIELD_MANAGER}", body))

    async def delete(self, path: str, options: Mapping[str, Any]) -> None:
        """Delete one object, once, under the preconditions in `options` (meta/v1 DeleteOptions)."""
        await self._write("DELETE", path, options)

    async def _read(self, path: str) -> dict[str, Any] | None:
        status, headers, body = await self._exchange("GET", path)
        if status == 404:
            return None
        if status >= 300:
            raise answers.refusal(status, headers, body)
        return answers.parse(body)

    async def _write(self, method: str, path: str, body: Mapping[str, Any], kind: str = "application/json") -> bytes:
        status, headers, answer = await self._exchange(method, path, body, kind)
        if status >= 300:
            raise answers.refusal(status, headers, answer)
        return answer

    async def _exchange(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, kind: str = "application/json"
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of one request."""
        headers = {"Accept": "application/json", "Content-Type": kind}
        try:
            request = await self._client.param_serialize(
                method, path, header_params=headers, body=body and dict(body), auth_settings=["BearerToken"]
            )
            answer = await self._client.call_api(*request, _request_timeout=TIMEOUT)
            body_read = await answer.read()  # type: ignore[no-untyped-call]  # the library is half typed
            return answer.status, answer.headers, body_read
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            message = f"the API server gave no answer to {method}: {type(error).__name__}"
            raise Unavailable(message) from error
