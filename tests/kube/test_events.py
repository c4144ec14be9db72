"""Events on a real API server: created once, counted when repeated, dropped when they cannot be written."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from tests.kube.conftest import MakeThing

from agentex_operator.clock import Clock
from agentex_operator.kube.cluster import KubeCluster
from agentex_operator.kube.events import BURST, QUEUE_SIZE, Recorder, cut
from agentex_operator.settings import Settings
from agentex_testkit.clusters import ClusterUnderTest

PATIENCE = timedelta(seconds=20)


@contextlib.asynccontextmanager
async def recording(kube: KubeCluster) -> AsyncIterator[Recorder]:
    recorder = Recorder(kube.api, Clock(), "operator-0", lambda text: text.replace("hunter2", "[redacted]"))
    await recorder.start()
    yield recorder
    await recorder.drain(PATIENCE)


def events_of(cluster: ClusterUnderTest, namespace: str) -> list[dict[str, Any]]:
    return json.loads(cluster.kubectl("get", "events.events.k8s.io", "-n", namespace, "-o", "json"))["items"]


async def test_an_event_has_every_field_that_tools_look_for(
    cluster: ClusterUnderTest, namespace: str, kube: KubeCluster, make_thing: MakeThing
) -> None:
    thing = make_thing("a")
    async with recording(kube) as recorder:
        recorder.emit(thing, "Normal", "BuildStarted", "Build b-1 was started with hunter2.", "Create")

    [event] = events_of(cluster, namespace)
    assert (event["type"], event["reason"], event["action"]) == ("Normal", "BuildStarted", "Create")
    assert event["note"] == "Build b-1 was started with [redacted]."
    assert event["regarding"]["uid"] == thing["metadata"]["uid"]
    assert (event["reportingController"], event["reportingInstance"]) == ("agentex.scale.com/operator", "operator-0")
    described = cluster.kubectl("describe", "things", "a", "-n", namespace)
    assert "BuildStarted" in described


async def test_repetitions_are_counted_in_one_event_across_restarts(
    cluster: ClusterUnderTest, namespace: str, kube: KubeCluster, make_thing: MakeThing
) -> None:
    thing = make_thing()
    for _ in range(2):
        async with recording(kube) as recorder:
            for _ in range(3):
                recorder.emit(thing, "Warning", "Stalled", "No Dockerfile.", "Resolve")

    [event] = events_of(cluster, namespace)
    assert event["series"]["count"] == 6


async def test_an_event_that_has_expired_is_created_anew(
    cluster: ClusterUnderTest, namespace: str, kube: KubeCluster, make_thing: MakeThing
) -> None:
    thing = make_thing()
    async with recording(kube) as recorder:
        recorder.emit(thing, "Normal", "Ready", "Ready.", "Observe")
        await recorder.flushed(PATIENCE)
        cluster.kubectl("delete", "events.events.k8s.io", "--all", "-n", namespace)
        recorder.emit(thing, "Normal", "Ready", "Ready.", "Observe")

    [event] = events_of(cluster, namespace)
    assert "series" not in event


async def test_the_events_of_one_object_are_rate_limited(
    cluster: ClusterUnderTest, namespace: str, kube: KubeCluster, make_thing: MakeThing
) -> None:
    thing, other = make_thing(), make_thing()
    async with recording(kube) as recorder:
        for number in range(BURST + 10):
            recorder.emit(thing, "Normal", "Ready", f"Number {number}.", "Observe")
        recorder.emit(other, "Normal", "Ready", "Me too.", "Observe")

    assert len(events_of(cluster, namespace)) == BURST + 1
    assert recorder.dropped == 10


async def test_a_note_that_is_too_long_is_cut_at_the_end_of_a_character(
    cluster: ClusterUnderTest, namespace: str, kube: KubeCluster, make_thing: MakeThing
) -> None:
    async with recording(kube) as recorder:
        recorder.emit(make_thing(), "Warning", "Stalled", "ä" * 2000, "Resolve")

    [event] = events_of(cluster, namespace)
    assert event["note"].endswith("ä…")
    assert len(cut("ä" * 2000, 1024).encode()) <= 1024


async def test_an_event_that_cannot_be_written_is_dropped_and_the_next_one_is_written(
    cluster: ClusterUnderTest, namespace: str, make_thing: MakeThing
) -> None:
    thing = make_thing()
    gone = {**thing, "metadata": {**thing["metadata"], "namespace": "not-there"}}
    cluster.kubectl("create", "serviceaccount", "nobody", "-n", namespace)
    kubeconfig = cluster.service_account_kubeconfig(namespace, "nobody")
    kube = await KubeCluster.connect(Settings(kubeconfig=kubeconfig), Clock())
    async with recording(kube) as recorder:
        recorder.emit(thing, "Normal", "Ready", "Ready.", "Observe")
        recorder.emit(gone, "Normal", "Ready", "Ready.", "Observe")
    await kube.aclose()

    assert recorder.dropped == 2


async def test_emitting_never_waits_even_when_no_event_is_written(kube: KubeCluster) -> None:
    recorder = Recorder(kube.api, Clock(), "operator-0")
    for number in range(QUEUE_SIZE + 5):
        recorder.emit({"metadata": {"name": "a", "uid": f"u{number}"}}, "Normal", "Ready", "Ready.", "Observe")

    assert recorder.dropped == 5
