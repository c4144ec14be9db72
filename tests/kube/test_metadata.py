"""Lists and watches of metadata: on the real API server, and the same on the fake one."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from kubernetes.aio.client.configuration import Configuration

from agentex_operator.clock import Clock
from agentex_operator.core.errors import Conflict, Rejected, Unauthorized, Unavailable
from agentex_operator.kube.api import Api
from agentex_operator.kube.cluster import KubeCluster
from agentex_operator.kube.kinds import CONFIG_MAP
from agentex_operator.kube.metadata import METADATA, METADATA_LIST, Change, MetadataReader
from agentex_operator.settings import Settings
from agentex_testkit.clusters import ClusterUnderTest
from agentex_testkit.fake_cluster.cluster import FakeCluster

PATIENCE = 20.0
COUNTER = itertools.count()
THOROUGH = settings(deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))
OPERATIONS = st.lists(st.tuples(st.sampled_from(["create", "edit", "same", "delete"]), st.sampled_from(["a", "b"])),
                      max_size=8)


def named(name: str, **content: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **content}


async def version_of(reader: MetadataReader, namespace: str) -> str:
    return [chunk.version async for chunk in reader.list(namespace)][-1]


async def listed(reader: MetadataReader, namespace: str, prefix: str) -> dict[str, str]:
    found = [one async for chunk in reader.list(namespace) for one in chunk.objects]
    return {one.name[1]: one.resource_version for one in found if one.name[1].startswith(prefix)}


class Runner:
    """Runs operations in one namespace of one cluster, and tells what a watch from before them showed."""

    def __init__(self, cluster: KubeCluster, namespace: str, prefix: str) -> None:
        self.cluster, self.namespace, self.prefix = cluster, namespace, prefix
        self.reader = MetadataReader(cluster.api, CONFIG_MAP)
        self.edits = 0

    async def run(self, operations: list[tuple[str, str]]) -> Any:
        since = await version_of(self.reader, self.namespace)
        for verb, name in [*operations, ("create", "last")]:
            await self.carry_out(verb, f"{self.prefix}{name}")
        events, versions = [], [int(since)]
        async with asyncio.timeout(PATIENCE), self.reader.watch(self.namespace, since) as changes:
            async for change in changes:
                versions.append(int(change.object.resource_version))
                if change.type != "BOOKMARK":
                    events.append((change.type, change.object.name[1]))
                if change.object.name[1] == f"{self.prefix}last":
                    break
        left = await listed(self.reader, self.namespace, self.prefix)
        seen = {name: version for name, version in left.items() if int(version) in versions}
        return {"events": events, "in order": versions == sorted(versions), "listed": sorted(left), "seen": len(seen)}

    async def carry_out(self, verb: str, name: str) -> None:
        path, self.edits = CONFIG_MAP.path(self.namespace, name), self.edits + 1
        try:
            match verb:
                case "create":
                    await self.cluster.api.post(CONFIG_MAP.collection(self.namespace), named(name))
                case "delete":
                    await self.cluster.api.delete(path, {})
                case _:
                    text = str(self.edits) if verb == "edit" else "same"
                    await self.cluster.api.patch(path, {"data": {"text": text}})
        except Conflict:
            pass  # it is there already, or is not there


@THOROUGH
@example([("create", "a"), ("edit", "a"), ("same", "a"), ("same", "a"), ("delete", "a"), ("create", "a")])
@given(OPERATIONS)
async def test_a_watch_shows_the_same_on_the_real_and_on_the_fake_cluster(
        kube: KubeCluster, namespace: str, operations: list[tuple[str, str]]) -> None:
    prefix = f"m{next(COUNTER)}-"

    shown = await Runner(kube, namespace, prefix).run(operations)

    assert await Runner(FakeCluster(Clock()), namespace, prefix).run(operations) == shown
    assert shown["in order"]


@pytest.fixture(params=["real", "fake"])
def either(request: pytest.FixtureRequest, kube: KubeCluster) -> KubeCluster:
    return kube if request.param == "real" else FakeCluster(Clock())


async def test_no_content_is_sent(either: KubeCluster, namespace: str) -> None:
    since = await MetadataReader(either.api, CONFIG_MAP).storage_version(namespace)
    collection = CONFIG_MAP.collection(namespace)
    await either.api.post(collection, named("told", data={"text": "the-value"}))

    found = await either.api.get(f"{collection}?limit=1", METADATA_LIST)
    path = f"{collection}?watch=true&resourceVersion={since}&timeoutSeconds=5"
    async with asyncio.timeout(PATIENCE), either.api.stream(path, METADATA, 20) as events:
        event = await anext(events)

    assert found is not None
    assert [set(one) - {"kind", "apiVersion"} for one in (*found["items"], event["object"])] == [{"metadata"}] * 2
    assert "the-value" not in str(found) + str(event)


async def test_a_list_has_every_chunk(either: KubeCluster, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentex_operator.kube.metadata.CHUNK", 2)
    for number in range(5):
        await either.api.post(CONFIG_MAP.collection(namespace), named(f"chunk-{number}"))
    reader = MetadataReader(either.api, CONFIG_MAP)

    assert list(await listed(reader, namespace, "chunk-")) == [f"chunk-{number}" for number in range(5)]
    assert len({chunk.version async for chunk in reader.list(namespace)}) == 1


async def test_a_version_that_the_fake_has_forgotten_is_refused() -> None:
    cluster = FakeCluster(Clock())
    cluster.streams.forget(cluster.store.version)

    with pytest.raises(Rejected) as refused:
        async with MetadataReader(cluster.api, CONFIG_MAP).watch("default", "0"):
            pass

    assert refused.value.status == 410


ENDS = [
    (200, {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}, Rejected),
    (410, {"kind": "Status", "code": 410, "message": "too old resource version"}, Rejected),
    (200, {"type": "ERROR", "object": {"kind": "Status", "code": 500, "message": "etcdserver: request timed out"}},
     Unavailable),
    (200, {"type": "SURPRISE", "object": {}}, Unavailable),
    (200, [], Unavailable),
    (406, {"kind": "Status", "code": 406, "reason": "NotAcceptable"}, Rejected),
    (504, {"kind": "Status", "code": 504, "message": "Too large resource version"}, Unavailable),
]


@pytest.mark.parametrize(("status", "said", "error"), ENDS)
async def test_each_way_in_which_an_api_server_ends_a_watch(status: int, said: Any, error: type[Exception]) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=json.dumps(said) + "\n")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        api = Api(Configuration(host=str(server.make_url("")).rstrip("/")), "test")
        with pytest.raises(error):
            async with asyncio.timeout(PATIENCE), MetadataReader(api, CONFIG_MAP).watch("team", "1") as changes:
                await anext(changes)
        await api.close()


async def test_a_connection_that_breaks_is_unavailable() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"type": "ADDED", "object": {"metadata": {"name": "a", "namespace": "team"}}}\n{"typ')
        assert request.transport is not None
        request.transport.abort()
        return response

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        api = Api(Configuration(host=str(server.make_url("")).rstrip("/")), "test")
        with pytest.raises(Unavailable):
            await everything(MetadataReader(api, CONFIG_MAP))
        await api.close()


async def everything(reader: MetadataReader) -> list[Change]:
    async with asyncio.timeout(PATIENCE), reader.watch("team", "1") as changes:
        return [change async for change in changes]


async def test_an_event_of_a_quarter_of_a_megabyte_is_read(kube: KubeCluster, namespace: str) -> None:
    """kubectl apply keeps a copy of the object in an annotation."""
    reader = MetadataReader(kube.api, CONFIG_MAP)
    since = await reader.storage_version(namespace)
    large = {"name": "large", "annotations": {"copy": "x" * 250_000}}
    await kube.api.post(CONFIG_MAP.collection(namespace), {**named("large"), "metadata": large})

    async with asyncio.timeout(PATIENCE), reader.watch(namespace, since) as changes:
        change = await anext(changes)

    assert (change.type, change.object.name) == ("ADDED", (namespace, "large"))


async def test_a_missing_right_is_told_as_such(cluster: ClusterUnderTest, namespace: str) -> None:
    cluster.kubectl("create", "serviceaccount", "nobody", "-n", namespace)
    told = Settings(kubeconfig=cluster.service_account_kubeconfig(namespace, "nobody"))
    nobody = await KubeCluster.connect(told, Clock())
    reader = MetadataReader(nobody.api, CONFIG_MAP)
    try:
        with pytest.raises(Unauthorized):
            await reader.storage_version(namespace)
        with pytest.raises(Unauthorized):
            async with reader.watch(namespace, "1"):
                pass
    finally:
        await nobody.aclose()


async def test_an_api_server_that_is_not_there_is_unavailable() -> None:
    api = Api(Configuration(host="http://127.0.0.1:1"), "test")

    with pytest.raises(Unavailable):
        async with MetadataReader(api, CONFIG_MAP).watch("team", "1"):
            pass
    await api.close()
