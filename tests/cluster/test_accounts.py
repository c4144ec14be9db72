"""Accounts: keys that change or stop working, and who may use which account."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.conftest import MakeWorld

from agentex_dev import demo_access
from agentex_testkit.api_server import Object, condition, eventually, gone, ready, says
from agentex_testkit.builders import a_build, a_context, a_deployment, a_secret, an_account, an_image
from agentex_testkit.clocks import run_ready_tasks
from agentex_testkit.cluster_fixture import ClusterFixture, with_account
from agentex_testkit.embedded_operator import operator_without_watch
from agentex_testkit.installation import Installation, kubeconfig_through
from agentex_testkit.proxy import Proxy

WORLD = {"accounts": (("acct-1", "key-1"), ("acct-2", "key-2"), ("acct-3", "key-3"), ("acct-4", "key-4"))}
SLOWLY = 4  # calls with a refused key that a few seconds may show


def its_own(world: ClusterFixture, name: str, account: str, key: str) -> Object:
    """An account for one test; the reference to it."""
    ref = {"name": name, "key": "api-key"}
    world.apply(a_secret(name, key), an_account(world.endpoint, name, accountID=account, apiKeySecretRef=ref))
    return {"name": name}


def test_a_rotated_key_is_used_without_a_restart(shared: ClusterFixture) -> None:
    ref = its_own(shared, "rotated", "acct-2", "key-2")
    shared.wait("AgentexAccount", "rotated")

    shared.simulator.set_keys("acct-2", "key-new")
    shared.apply(a_secret("rotated", "key-new"), an_image("before", accountRef=ref))

    shared.wait("AgentBuild", "before")
    shared.wait("AgentexAccount", "rotated")
    assert "key-new" not in shared.operator.log
    assert "key-2" not in shared.operator.log


def test_a_refused_key_stops_all_traffic_but_one_slow_probe_and_is_said(shared: ClusterFixture) -> None:
    ref = its_own(shared, "refused", "acct-3", "wrong")
    refused = shared.wait("AgentexAccount", "refused", says("Ready", "False", "AccessDenied"))
    shared.apply(an_image("unpaid", accountRef=ref), a_context("unserved"), a_build("unserved", accountRef=ref))
    for name in ("unpaid", "unserved"):
        waiting = shared.wait("AgentBuild", name, says("Ready", "False", "AccessDenied"))
        assert "refused" in condition(waiting, "Ready")["message"]
        assert shared.creates("AgentBuild", name) == 0
    assert len([one for one in shared.simulator.calls() if one["status"] == 401]) <= SLOWLY
    assert "wrong" not in condition(refused, "Ready")["message"]

    shared.apply(a_secret("refused", "key-3"))

    assert all(shared.wait("AgentBuild", name) for name in ("unpaid", "unserved"))


def test_a_key_that_stops_working_holds_everything_and_loses_nothing(shared: ClusterFixture) -> None:
    ref = its_own(shared, "barred", "acct-4", "key-4")
    shared.apply(an_image("served", accountRef=ref), a_deployment("served", accountRef=ref))
    before = shared.wait("AgentDeployment", "served")["status"]["deploymentID"]

    shared.simulator.set_keys("acct-4", "another")
    shared.wait("AgentexAccount", "barred", says("Ready", "False", "AccessDenied"))
    shared.wait("AgentDeployment", "served", says("Ready", "False", "AccessDenied"))
    shared.apply(a_secret("barred", "another"))

    shared.wait("AgentexAccount", "barred")
    after = shared.wait("AgentDeployment", "served")["status"]["deploymentID"]
    assert after == before
    assert shared.creates("AgentDeployment", "served") == 1


def test_an_account_that_becomes_ready_late_wakes_who_waits(shared: ClusterFixture) -> None:
    shared.apply(an_image("early", accountRef={"name": "coming"}))
    shared.wait("AgentBuild", "early", says("Ready", "False", "AccountNotFound"))

    late = {"name": "coming", "key": "api-key"}
    shared.apply(an_account(shared.endpoint, "coming", apiKeySecretRef=late))
    shared.wait("AgentexAccount", "coming", says("Ready", "False", "SecretNotFound"))
    shared.apply(a_secret("coming"))

    assert shared.wait("AgentBuild", "early")


def test_an_account_counts_what_is_there(shared: ClusterFixture) -> None:
    shared.apply(an_image("counted"), a_deployment("counted"))
    shared.wait("AgentDeployment", "counted")

    shared.wait("AgentexAccount", "default", lambda it: it is not None and it["status"]["deployments"]["healthy"] >= 1)


def test_an_account_that_is_taken_away_is_asked_nothing_more(world: ClusterFixture) -> None:
    world.apply(an_image(), a_deployment())
    world.wait("AgentDeployment", "quote")

    world.take_away("AgentexAccount", "default")
    world.wait("AgentDeployment", "quote", says("Ready", "False", "AccountNotFound"))
    world.wait("AgentBuild", "quote", says("Ready", "False", "AccountNotFound"))
    asked = len(world.simulator.calls())
    time.sleep(6)  # more than any resync

    assert len(world.simulator.calls()) == asked
    with_account(world)
    world.wait("AgentDeployment", "quote")


async def test_an_account_that_went_while_nobody_watched_is_not_used_any_more(
    installation: Installation, world: ClusterFixture, tmp_path: Path
) -> None:
    """kopf tells of no deletion that fell into a gap of its watch: here is an operator without any watch."""
    world.operator.stop()
    soon: dict[str, Any] = {"resync": timedelta(seconds=1), "reference_resync": timedelta(seconds=1)}
    async with operator_without_watch(installation.kubeconfig, world.namespace, tmp_path, **soon) as engine:
        assert engine.find("AgentexAccount", world.namespace, "default")
        await asyncio.to_thread(world.take_away, "AgentexAccount", "default")

        await asyncio.to_thread(eventually, lambda: engine.find("AgentexAccount", world.namespace, "default"),
                                lambda found: found is None, 20)
    world.operator.start()


async def test_an_account_made_anew_while_its_key_is_being_read_leaves_no_session_behind(
    installation: Installation, world: ClusterFixture, tmp_path: Path
) -> None:
    """The pass over the first one goes on, and opens what nobody would ever close."""
    world.operator.stop()
    server = installation.cluster.server
    with Proxy(server.url, server.ca) as proxy:
        reading = proxy.hold("GET", "/secrets/", "after")
        config = kubeconfig_through(proxy.url, installation, tmp_path / "kubeconfig")
        async with operator_without_watch(config, world.namespace, tmp_path) as engine:
            await asyncio.to_thread(reading.wait)
            await asyncio.to_thread(world.take_away, "AgentexAccount", "default")
            anew = await asyncio.to_thread(world.apply, an_account(world.endpoint))
            engine.observe("AgentexAccount", "ADDED", anew)
            await run_ready_tasks()
            reading.release()
            await asyncio.to_thread(world.wait, "AgentexAccount", "default")

    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("polling")] == []
    world.operator.start()


# --- accounts of the whole cluster ----------------------------------------------------------------------------------


@contextmanager
def cluster_account(world: ClusterFixture, **spec: object) -> Iterator[str]:
    """A ClusterAgentexAccount with its key in the operator's namespace."""
    name = f"shared-{secrets.token_hex(3)}"
    key = {"name": name, "key": "api-key"}
    world.api.apply(a_secret(name), demo_access.NAMESPACE)
    world.api.apply(an_account(world.endpoint, name, "ClusterAgentexAccount", apiKeySecretRef=key, **spec))
    try:
        yield name
    finally:
        world.take_away("ClusterAgentexAccount", name)
        world.api.delete("Secret", name, demo_access.NAMESPACE)


@pytest.fixture
def without_account(make_world: MakeWorld) -> ClusterFixture:
    return make_world(account=False)


def test_the_default_account_of_the_cluster_serves_who_names_none(without_account: ClusterFixture) -> None:
    world = without_account
    world.apply(an_image())
    world.wait("AgentBuild", "quote", says("Ready", "False", "AccountNotFound"))

    with cluster_account(world, default=True) as name:
        built = world.wait("AgentBuild", "quote")
        assert built["status"]["account"] == {"kind": "ClusterAgentexAccount", "name": name, "accountID": "acct-1",
                                              "endpoint": world.endpoint}
        eventually(lambda: world.api.get("ClusterAgentexAccount", name), ready)
        world.remove("AgentBuild", "quote")


def test_an_account_of_the_namespace_goes_before_that_of_the_cluster(world: ClusterFixture) -> None:
    with cluster_account(world, default=True):
        world.apply(an_image())

        built = world.wait("AgentBuild", "quote")

        assert built["status"]["account"]["kind"] == "AgentexAccount"


def test_a_selector_says_which_namespaces_may_use_it(without_account: ClusterFixture) -> None:
    world = without_account
    with cluster_account(world, namespaceSelector={"matchLabels": {"team": "a"}}) as name:
        world.apply(an_image(accountRef={"kind": "ClusterAgentexAccount", "name": name}))
        world.wait("AgentBuild", "quote", says("Ready", "False", "AccountNotAllowed"))

        world.api.patch("Namespace", world.namespace, {"metadata": {"labels": {"team": "a"}}})

        world.wait("AgentBuild", "quote")
        world.remove("AgentBuild", "quote")
    assert gone(world.api.get("ClusterAgentexAccount", name))
