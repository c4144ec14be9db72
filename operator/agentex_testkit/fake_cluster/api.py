"""The operator's HTTP exchange with the API server, answered from memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from agentex_operator.kube.api import JSON, Api
from agentex_operator.kube.metadata import METADATA_LIST
from agentex_testkit.fake_cluster import requests
from agentex_testkit.fake_cluster.answers import ApiError
from agentex_testkit.fake_cluster.faults import Fault, Faults
from agentex_testkit.fake_cluster.requests import WRITES, Request
from agentex_testkit.fake_cluster.store import ObjectStore
from agentex_testkit.fake_cluster.streams import FakeStreams, partial
from agentex_testkit.fake_cluster.watch import FakeWatch

OPENAPI = "/openapi/v3"


class FakeApi(Api):
    """Raises what the real Api raises. Faults of reads are what is left after its own retries.

    `echo_first`: the watch tells of a write before the writer has its answer; else it tells of it afterwards.
    """

    def __init__(self, store: ObjectStore, watch: FakeWatch, streams: FakeStreams) -> None:
        # no super: there is no connection
        self._store, self._watch, self._streams = store, watch, streams
        self.faults = Faults()
        self.echo_first = False
        self.publishes_schemas = True  # at /openapi/v3
        self.requests: list[Request] = []

    async def close(self) -> None:
        """Nothing to close."""

    async def get(self, path: str, accept: str = JSON) -> dict[str, Any] | None:
        """Read one object or list, or what a group serves; None where there is none."""
        served = [kind.plural for kind in self._store.served if kind.root == path]
        if served:
            return {"resources": [{"name": name} for name in served]}
        if path.startswith(OPENAPI) and self.publishes_schemas:
            return self._schemas(path.removeprefix(OPENAPI))
        with _classified():
            try:
                request = self._request("GET", path, {})
            except ApiError:
                return None
            answer = await self._answered(request, path)
            return _metadata_only(answer) if accept == METADATA_LIST else answer

    @asynccontextmanager
    async def stream(self, path: str, accept: str, seconds: float) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """Open a watch of metadata; it lasts until the test ends or breaks it."""
        with _classified():
            request = self._request("GET", path, {})
            await self._met(request)
            since = int(parse_qs(urlsplit(path).query)["resourceVersion"][0])
            opened = self._streams.opened(request.kind, request.namespace, since)
            events = opened.__enter__()
        try:
            yield events
        finally:
            opened.__exit__(None, None, None)

    async def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Merge-patch one object or its status."""
        with _classified():
            return await self._answered(self._request("PATCH", path, body), path) or {}

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create one object."""
        with _classified():
            return await self._answered(self._request("POST", path, body), path) or {}

    async def delete(self, path: str, options: Mapping[str, Any]) -> None:
        """Delete one object under the preconditions in `options`."""
        with _classified():
            await self._answered(self._request("DELETE", path, options), path)

    def _schemas(self, root: str) -> dict[str, Any]:
        """The OpenAPI document of the kinds of CRDs below a path."""
        schemas = {kind.kind: {**served.schema, "x-kubernetes-group-version-kind": [{"kind": kind.kind}]}
                   for kind, served in self._store.served.items() if kind.root == root and served.schema is not None}
        return {"components": {"schemas": schemas}}

    def _request(self, method: str, path: str, body: Mapping[str, Any]) -> Request:
        return requests.read(method, path, body, self._store.served)

    async def _answered(self, request: Request, path: str) -> dict[str, Any] | None:
        """The answer to a request, after the fault that happens at it. Others run while it is on its way."""
        fault = await self._met(request)
        answer = self._carried_out(request, path)
        await self._echo(request)
        if fault is not None and fault.error is not None:
            raise fault.error
        return answer

    async def _met(self, request: Request) -> Fault | None:
        """The fault that happens at a request. Raises its error, unless the request takes effect before it."""
        self.requests.append(request)
        await asyncio.sleep(0)
        fault = self.faults.at(request)
        if fault is not None and fault.act is not None:
            fault.act()
        if fault is not None and fault.error is not None and not fault.effect:
            raise fault.error
        return fault

    async def _echo(self, request: Request) -> None:
        if request.verb in WRITES and self.echo_first:
            self._watch.deliver()
            await asyncio.sleep(0)
        else:
            asyncio.get_running_loop().call_soon(self._watch.deliver)

    def _carried_out(self, request: Request, path: str) -> dict[str, Any] | None:
        store, of_many = self._store, request.verb in ("list", "watch")
        key = (request.kind, request.namespace, "") if of_many else request.key
        match request.verb:
            case "get":
                return store.get(key)
            case "list":
                return _chunk(store.list(request.kind, request.namespace), path, store.version)
            case "create":
                return store.create(key, request.body)
            case "patch":
                return store.patch(key, request.body)
            case "patch_status":
                return store.patch_status(key, request.body)
            case "delete":
                store.delete(key, request.body.get("preconditions"))
                return None
            case "watch":
                raise ApiError(406, "a watch is served as a stream")


def _chunk(objects: list[dict[str, Any]], path: str, version: int) -> dict[str, Any]:
    """One chunk of a list read at this version; the items of a list carry no apiVersion and kind."""
    query = parse_qs(urlsplit(path).query)
    start, limit = int(query.get("continue", ["0"])[0]), int(query.get("limit", ["500"])[0])
    items = [{key: value for key, value in one.items() if key not in ("apiVersion", "kind")} for one in objects]
    more = {"continue": str(start + limit)} if len(items) > start + limit else {}
    return {"items": items[start : start + limit], "metadata": {"resourceVersion": str(version), **more}}


def _metadata_only(answer: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if answer is None else {**answer, "items": [partial(one) for one in answer["items"]]}


@contextmanager
def _classified() -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        raise error.as_operator_error() from error
