"""The claims on an account: the owners of the resources that refer to it, each made once in the life of one."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import ClassVar

from agentex_operator.core import ownership
from agentex_operator.kube.kinds import AGENTEX_ACCOUNT
from agentex_operator.reconcile import references
from agentex_operator.reconcile.build import BuildPass
from agentex_operator.reconcile.claims import AccountClaims
from agentex_operator.reconcile.engine import Engine
from agentex_testkit.clocks import HandClock
from agentex_testkit.fake_cluster.cluster import FakeCluster

ACCOUNT = (AGENTEX_ACCOUNT.kind, "team", "default")


class CountingPass(BuildPass):
    """Counts how often the owner of each uid is made."""

    made: ClassVar[Counter[str]] = Counter()

    @staticmethod
    def owner_in(cluster_uid: str, uid: str) -> str:
        CountingPass.made[uid] += 1
        return ownership.owner_of(cluster_uid, uid)


def observe(engine: Engine, uid: str, version: int = 1) -> None:
    metadata = {"uid": uid, "name": uid, "namespace": "team", "resourceVersion": str(version)}
    spec = {"accountRef": {"name": "default"}}
    engine.observe("AgentBuild", "MODIFIED", {"metadata": metadata, "spec": spec})


async def test_the_owner_of_a_resource_is_made_once_and_dropped_with_the_resource() -> None:
    CountingPass.made.clear()
    engine, cluster = Engine(HandClock(), 1, lambda: 0.0), FakeCluster(HandClock())
    engine.register("AgentBuild", None, references=references.build_references)  # type: ignore[arg-type]  # no pass
    claims = AccountClaims(engine, cluster, ACCOUNT, CountingPass, timedelta())
    cluster_uid = await cluster.cluster_uid()
    for uid in ("one", "two"):
        observe(engine, uid)
    await claims.record_filter()
    observe(engine, "one", 2)
    observe(engine, "three")
    engine.forget("two")

    found = await claims.record_filter()

    assert found.owners == {ownership.owner_of(cluster_uid, uid) for uid in ("one", "three")}
    assert CountingPass.made == {"one": 1, "two": 1, "three": 1}

    observe(engine, "two", 3)
    await claims.record_filter()

    assert CountingPass.made["two"] == 2
