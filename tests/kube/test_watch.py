"""The watch on a real API server: every event reaches the engine, nothing is written, and every end is orderly."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.kube.conftest import THING, MakeThing

from agentex_operator.clock import Clock
from agentex_operator.core.errors import ExternalError, Unavailable
from agentex_operator.kube.access import Access
from agentex_operator.kube.cluster import KubeCluster
from agentex_operator.kube.kinds import Kind
from agentex_operator.reconcile.engine import Engine
from agentex_operator.reconcile.views import View
from agentex_operator.reconcile.work_queue import Outcome
from agentex_operator.settings import Settings
from agentex_operator.termination import Termination
from agentex_operator.watch import Connect, WatchHealth, build_registry, watch
from agentex_testkit.clusters import ClusterUnderTest

NO_USER = 1_234_567_890  # an id without an entry in /etc/passwd


@dataclass
class Watched:
    """What the engine saw, and how to stop the watch."""

    engine: Engine
    health: WatchHealth
    termination: Termination = field(default_factory=Termination)
    seen: list[View] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    drained: list[float] = field(default_factory=list)

    async def reconcile(self, view: View) -> Outcome:
        self.seen.append(view)
        self.news.set()
        return Outcome()

    async def drain(self) -> None:
        self.drained.append(time.monotonic())
        await self.engine.drain(timedelta(seconds=1))

    async def until(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.seen) < count:
                await self.news.wait()
                self.news.clear()


@contextlib.asynccontextmanager
async def watching(
    connect: Connect, settings: Settings, kinds: tuple[Kind, ...] = (THING,)
) -> AsyncIterator[tuple[Watched, asyncio.Task[None]]]:
    engine = Engine(Clock(), 2, lambda: 0.0)
    watched = Watched(engine, WatchHealth(Clock()))
    engine.register(THING.kind, watched.reconcile)
    await engine.start()
    others = asyncio.all_tasks()
    registry = build_registry(engine, connect, watched.health, drain=watched.drain, kinds=kinds)
    task = asyncio.create_task(watch(registry, settings, watched.termination))
    try:
        yield watched, task
    finally:
        watched.termination.requested.set()
        await asyncio.gather(task, return_exceptions=True)
        await end_what_is_left(others)
        gc.collect()  # kopf leaves failed tasks behind: let asyncio complain of them here, not in another test


async def end_what_is_left(others: set[asyncio.Task[Any]]) -> None:
    """What asyncio.run does at the end of a process: where a task survives it, the process does."""
    left = asyncio.all_tasks() - others
    for task in left:
        task.cancel()
    async with asyncio.timeout(10):
        await asyncio.gather(*left, return_exceptions=True)


async def test_existing_and_new_objects_reach_the_engine_and_nothing_is_written(
    kube: KubeCluster, cluster: ClusterUnderTest, namespace: str, make_thing: MakeThing
) -> None:
    first = make_thing("first", finalizers=["kube-tests.example.com/ours"])
    settings = Settings(kubeconfig=cluster.kubeconfig, watch_namespaces=(namespace,))
    async with watching(kube.access, settings) as (watched, _):
        await watched.until(1)
        make_thing("second")
        await watched.until(2)
        await kube.patch(THING, namespace, "first", {"spec": {"size": 2}})
        await watched.until(3)
        cluster.kubectl("delete", "things", "second", "-n", namespace)
        await asyncio.sleep(0.5)

        assert [view.name for view in watched.seen] == ["first", "second", "first"]
        assert watched.engine.find(THING.kind, namespace, "second") is None
        age = watched.health.age()
        assert age is not None
        assert age < timedelta(seconds=5)
    found = json.loads(cluster.kubectl("get", "things", "first", "-n", namespace, "-o", "json"))
    assert found["metadata"]["finalizers"] == first["metadata"]["finalizers"]
    assert "annotations" not in found["metadata"]


async def test_a_user_without_a_name_and_a_home_can_watch(
    kube: KubeCluster, cluster: ClusterUnderTest, make_thing: MakeThing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a pod: the image knows no user of the id that the pod, or OpenShift, chooses."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: NO_USER)
    make_thing()

    async with watching(kube.access, Settings(kubeconfig=cluster.kubeconfig)) as (watched, _):
        await watched.until(1)


async def test_stopping_drains_at_once(kube: KubeCluster, cluster: ClusterUnderTest, make_thing: MakeThing) -> None:
    make_thing()
    async with watching(kube.access, Settings(kubeconfig=cluster.kubeconfig)) as (watched, task):
        await watched.until(1)
        started = time.monotonic()
        watched.termination.requested.set()
        await task
    assert time.monotonic() - started < 3


async def test_a_service_account_watches_with_its_own_rights(
    cluster: ClusterUnderTest, namespace: str, make_thing: MakeThing
) -> None:
    make_thing("mine")
    kubeconfig = a_service_account(cluster, namespace, "watcher")
    kube = await KubeCluster.connect(Settings(kubeconfig=kubeconfig), Clock())
    settings = Settings(kubeconfig=kubeconfig, watch_namespaces=(namespace,))
    async with watching(kube.access, settings) as (watched, _):
        await watched.until(1)
    await kube.aclose()

    assert watched.seen[0].name == "mine"


def a_service_account(cluster: ClusterUnderTest, namespace: str, name: str) -> Path:
    cluster.kubectl("create", "serviceaccount", name, "-n", namespace)
    rights = ["--verb=get,list,watch", f"--resource={THING.plural}.{THING.group}"]
    cluster.kubectl("create", "role", name, "-n", namespace, *rights)
    cluster.kubectl(
        "create", "rolebinding", name, "-n", namespace, f"--role={name}", f"--serviceaccount={namespace}:{name}"
    )
    return cluster.service_account_kubeconfig(namespace, name)


async def test_credentials_that_never_work_end_the_watch_with_an_error(
    things: Kind, kube: KubeCluster, cluster: ClusterUnderTest
) -> None:
    good = await kube.access()

    async def connect() -> Access:
        return Access(good.server, good.ca_path, None, None, "Bearer wrong", None)

    async with watching(connect, Settings(kubeconfig=cluster.kubeconfig)) as (_, task):
        async with asyncio.timeout(60):
            with pytest.raises(Unavailable, match="refuse the credentials"):
                await task


async def test_a_login_that_fails_ends_the_watch_with_an_error(things: Kind, cluster: ClusterUnderTest) -> None:
    async def connect() -> Access:
        raise ExternalError("no kubeconfig")

    async with watching(connect, Settings(kubeconfig=cluster.kubeconfig)) as (_, task):
        async with asyncio.timeout(30):
            with pytest.raises(ExternalError, match="no kubeconfig"):
                await task


OTHER = replace(THING, plural="others", kind="Other")


async def test_a_watch_that_is_refused_while_another_is_retried_ends_with_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """kopf's second watcher outlives being cancelled, and kopf waits for it: found by the fault programme."""
    caplog.set_level(logging.CRITICAL)  # a record kept would keep the failed tasks, to complain in another test
    async with TestServer(an_api_server_in_trouble()) as server:
        good = Access(str(server.make_url("/")), None, None, None, None, None)

        async def connect() -> Access:
            return good

        async with watching(connect, Settings(watch_namespaces=("default",)), (THING, OTHER)) as (watched, task):
            async with asyncio.timeout(30):
                with pytest.raises(Unavailable):
                    await task
        assert watched.drained


async def test_an_end_that_is_asked_for_is_no_error_where_kopf_does_not_end_by_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """kopf repeats a request that failed, also after it was told to end: found by the continuous integration."""
    caplog.set_level(logging.CRITICAL)
    async with TestServer(an_api_server_without_discovery()) as server:
        access = Access(str(server.make_url("/")), None, None, None, None, None)

        async def connect() -> Access:
            return access

        async with watching(connect, Settings(watch_namespaces=("default",))) as (watched, task):
            await asyncio.sleep(0.5)
            watched.termination.requested.set()
            async with asyncio.timeout(30):
                await task
        assert watched.drained


def an_api_server_without_discovery() -> web.Application:
    """It answers every request 500."""
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"kind": "Status", "code": 500}, status=500)

    app = web.Application()
    app.router.add_get("/{path:.*}", refuse)
    return app


def an_api_server_in_trouble() -> web.Application:
    """It lists; a watch of things is answered 500, and the second one of others 410."""
    watches: list[str] = []
    served = {"groupVersion": THING.api_version, "version": THING.version}
    facts: dict[str, dict[str, Any]] = {
        "/api": {"versions": ["v1"]},
        "/api/v1": {"resources": [a_resource("namespaces", "Namespace", namespaced=False)]},
        "/apis": {"groups": [{"name": THING.group, "preferredVersion": served, "versions": [served]}]},
        f"/apis/{THING.api_version}": {"resources": [a_resource(kind.plural, kind.kind) for kind in (THING, OTHER)]},
    }

    async def fact(request: web.Request) -> web.Response:
        return web.json_response(facts[request.path])

    async def objects(request: web.Request) -> web.Response:
        plural = request.match_info["plural"]
        if "watch" not in request.query:
            return web.json_response({"items": [], "metadata": {"resourceVersion": "1"}})
        watches.append(plural)
        if plural == THING.plural:
            return web.json_response({"kind": "Status", "code": 500}, status=500)
        if watches.count(plural) == 1:
            await asyncio.sleep(0.5)
            return web.Response()
        return web.json_response({"kind": "Status", "code": 410, "reason": "Expired"}, status=410)

    app = web.Application()
    app.router.add_get(f"/apis/{THING.api_version}/namespaces/default/{{plural}}", objects)
    for path in facts:
        app.router.add_get(path, fact)
    return app


def a_resource(plural: str, kind: str, *, namespaced: bool = True) -> dict[str, Any]:
    """A line of an APIResourceList."""
    return {"name": plural, "kind": kind, "singularName": "", "namespaced": namespaced,
            "verbs": ["get", "list", "watch", "patch"]}
