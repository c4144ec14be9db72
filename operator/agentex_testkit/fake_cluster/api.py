"""The operator's HTTP exchange with the API server, answered from memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from agentex_operator.kube.api import Api
from agentex_testkit.fake_cluster import requests
from agentex_testkit.fake_cluster.answers import ApiError
from agentex_testkit.fake_cluster.faults import Faults
from agentex_testkit.fake_cluster.requests import WRITES, Request
from agentex_testkit.fake_cluster.store import ObjectStore
from agentex_testkit.fake_cluster.watch import FakeWatch


class FakeApi(Api):
    """Raises what the real Api raises. Faults of reads are what is left after its own retries.

    `echo_first`: the watch tells of a write before the writer has its answer; else it tells of it afterwards.
    """

    def __init__(self, store: ObjectStore, watch: FakeWatch) -> None:  # no super: there is no connection
        self._store, self._watch = store, watch
        self.faults = Faults()
        self.echo_first = False
        self.requests: list[Request] = []

    async def close(self) -> None:
        """Nothing to close."""

    async def get(self, path: str) -> dict[str, Any] | None:
        """Read one object or list, or what a group serves; None where there is none."""
        served = [kind.plural for kind in self._store.served if kind.root == path]
        if served:
            return {"resources": [{"name": name} for name in served]}
        with _classified():
            try:
                request = self._request("GET", path, {})
            except ApiError:
                return None
            return await self._answered(request, path)

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

    def _request(self, method: str, path: str, body: Mapping[str, Any]) -> Request:
        return requests.read(method, path, body, self._store.served)

    async def _answered(self, request: Request, path: str) -> dict[str, Any] | None:
        """The answer to a request, after the fault that happens at it. Others run while it is on its way."""
        self.requests.append(request)
        await asyncio.sleep(0)
        fault = self.faults.at(request)
        if fault is not None and fault.act is not None:
            fault.act()
        if fault is not None and fault.error is not None and not fault.effect:
            raise fault.error
        answer = self._carried_out(request, path)
        await self._echo(request)
        if fault is not None and fault.error is not None:
            raise fault.error
        return answer

    async def _echo(self, request: Request) -> None:
        if request.verb in WRITES and self.echo_first:
            self._watch.deliver()
            await asyncio.sleep(0)
        else:
            asyncio.get_running_loop().call_soon(self._watch.deliver)

    def _carried_out(self, request: Request, path: str) -> dict[str, Any] | None:
        store, key = self._store, request.key if request.verb != "list" else (request.kind, request.namespace, "")
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


def _chunk(objects: list[dict[str, Any]], path: str, version: int) -> dict[str, Any]:
    """One chunk of a list read at this version; the items of a list carry no apiVersion and kind."""
    query = parse_qs(urlsplit(path).query)
    start, limit = int(query.get("continue", ["0"])[0]), int(query.get("limit", ["500"])[0])
    items = [{key: value for key, value in one.items() if key not in ("apiVersion", "kind")} for one in objects]
    more = {"continue": str(start + limit)} if len(items) > start + limit else {}
    return {"items": items[start : start + limit], "metadata": {"resourceVersion": str(version), **more}}


@contextmanager
def _classified() -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        raise error.as_operator_error() from error
