"""A CRD that is missing, or older than the operator: said, nothing is made twice, and all heals when it is there."""

from __future__ import annotations

import asyncio
import copy
import logging
from typing import Any

import pytest
from tests.reconcile.conftest import MakeHarness

from agentex_operator.kube.kinds import (
    AGENT_BUILD,
    AGENT_DEPLOYMENT,
    AGENTEX_ACCOUNT,
    CLUSTER_AGENTEX_ACCOUNT,
    KINDS,
    Kind,
)
from agentex_operator.reconcile.crd_check import KindsChangedError
from agentex_testkit import next_steps
from agentex_testkit.api_server import condition, says
from agentex_testkit.builders import a_build, a_context, a_deployment, an_account, an_image
from agentex_testkit.fake_cluster.served import Served, operators_kinds
from agentex_testkit.harness import Harness

INSTALL = "kubectl apply --server-side -f crds/"
SERVED = {one.kind: one for one in operators_kinds()}


def message(harness: Harness, kind: str, name: str = "quote") -> str:
    return str(condition(harness.get(kind, name), "Ready").get("message"))


# --- a kind that is not served ----------------------------------------------------------------------------------------


NAMED = {"accountRef": {"name": "ours"}}
OF_CLUSTER = {"accountRef": {"kind": "ClusterAgentexAccount", "name": "shared"}}


@pytest.mark.parametrize(("missing", "spec", "names"), [
    (AGENTEX_ACCOUNT, {}, "AgentexAccount"),
    (CLUSTER_AGENTEX_ACCOUNT, {}, "ClusterAgentexAccount"),
    (AGENTEX_ACCOUNT, NAMED, "AgentexAccount 'ours'"),
    (CLUSTER_AGENTEX_ACCOUNT, OF_CLUSTER, "ClusterAgentexAccount 'shared'"),
], ids=["default, no accounts", "default, no accounts of the cluster", "named", "named, of the cluster"])
async def test_a_resource_without_the_kind_of_its_account_says_how_to_install_the_kind(
    make_harness: MakeHarness, missing: Kind, spec: dict[str, Any], names: str
) -> None:
    harness = make_harness()
    harness.cluster.unserve(missing)
    async with harness.running():
        harness.apply(an_image(**spec))
        found = await harness.wait("AgentBuild", "quote", says("Ready", "False", "CRDMissing"))

    assert f"does not serve the kind {missing.kind}:" in message(harness, "AgentBuild")
    assert INSTALL in message(harness, "AgentBuild")
    assert names in message(harness, "AgentBuild")
    assert next_steps.faults(found, []) == []


async def test_no_account_of_the_cluster_is_the_default_while_accounts_of_namespaces_are_unknown(
    make_harness: MakeHarness
) -> None:
    harness = make_harness()
    harness.cluster.unserve(AGENTEX_ACCOUNT)
    async with harness.running():
        harness.apply(an_account(harness.simulator.url, "shared", "ClusterAgentexAccount", default=True))
        harness.apply(an_image())
        await harness.wait("AgentBuild", "quote", says("Ready", "False", "CRDMissing"))
        assert harness.creates(harness.owner("AgentBuild", "quote")) == 0


async def test_a_deployment_without_the_kind_of_its_build_says_how_to_install_the_kind(
    make_harness: MakeHarness
) -> None:
    harness = make_harness()
    harness.cluster.unserve(AGENT_BUILD)
    async with harness.running():
        await harness.with_account()
        harness.apply(a_deployment())
        found = await harness.wait("AgentDeployment", "quote", says("Ready", "False", "CRDMissing"))

    assert "does not serve the kind AgentBuild:" in message(harness, "AgentDeployment")
    assert f"{INSTALL}, or upgrade the Helm release. Then create AgentBuild 'quote' again." in message(
        harness, "AgentDeployment")
    assert next_steps.faults(found, []) == []


async def test_a_resource_goes_on_as_before_when_the_kind_of_its_account_comes_back(make_harness: MakeHarness) -> None:
    harness = make_harness()
    async with harness.running():
        await harness.with_account()
        harness.apply(an_image(), a_deployment())
        await harness.wait("AgentDeployment", "quote")
        owners = [harness.owner("AgentBuild", "quote"), harness.owner("AgentDeployment", "quote")]
    living = [harness.living(owner) for owner in owners]
    harness.cluster.unserve(AGENTEX_ACCOUNT)
    async with harness.running():
        await harness.wait("AgentBuild", "quote", says("Ready", "False", "CRDMissing"))
        await harness.wait("AgentDeployment", "quote", says("Ready", "False", "CRDMissing"))
        assert "create AgentexAccount 'default' again with endpoint" in message(harness, "AgentBuild")
    harness.cluster.serve(SERVED[AGENTEX_ACCOUNT])
    async with harness.running():
        await harness.with_account()
        await harness.wait("AgentDeployment", "quote")
        await harness.wait("AgentBuild", "quote")

    assert [harness.living(owner) for owner in owners] == living
    assert [harness.creates(owner) for owner in owners] == [1, 1]


async def test_a_deletion_without_the_kind_of_its_account_waits_and_says_how_it_ends(make_harness: MakeHarness) -> None:
    harness = make_harness()
    async with harness.running():
        await harness.with_account()
        harness.apply(an_image(), a_deployment())
        await harness.wait("AgentDeployment", "quote")
        owner = harness.owner("AgentDeployment", "quote")
    harness.cluster.unserve(AGENTEX_ACCOUNT)
    async with harness.running():
        harness.delete("AgentDeployment", "quote")
        found = await harness.wait("AgentDeployment", "quote", says("Ready", "False", "CRDMissing"))
        assert len(harness.living(owner)) == 1
        assert "To remove it, install the CRDs" in message(harness, "AgentDeployment")
        assert next_steps.faults(found, [found]) == []
    harness.cluster.serve(SERVED[AGENTEX_ACCOUNT])
    async with harness.running():
        await harness.with_account()
        await harness.wait("AgentDeployment", "quote", lambda obj: obj is None)

    assert harness.living(owner) == []


@pytest.mark.parametrize("missing", KINDS, ids=lambda kind: kind.kind)
async def test_a_missing_kind_is_logged_once_and_the_operator_is_not_ready(
    make_harness: MakeHarness, missing: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    harness = make_harness()
    harness.cluster.unserve(missing)
    async with harness.running():
        await harness.advance(120)
        not_ready = harness.crds.problem()

    said = [one.message for one in caplog.records if one.levelno >= logging.ERROR]
    assert len(said) == 1
    assert f"does not serve the kind {missing.kind}:" in said[0]
    assert INSTALL in said[0]
    assert not_ready == said[0]


# --- a CRD that is older than the operator ----------------------------------------------------------------------------


def without(kind: Kind, part: str, field: str) -> Served:
    """The kind, by a CRD that lacks a field of the spec or of the status, such as `adopt` or `operator.removal`."""
    older = copy.deepcopy(SERVED[kind].schema)
    assert older is not None
    schema, path = older["properties"][part], field.split(".")
    for name in path[:-1]:
        schema = schema["properties"][name]
    del schema["properties"][path[-1]]
    return Served(kind, older)


def status_fields(kind: Kind) -> list[str]:
    """The fields of a status but those that say why nothing is done; and those of the operator's memory in it."""
    schema = SERVED[kind].schema
    assert schema is not None
    fields = schema["properties"]["status"]["properties"]
    remembered = [f"operator.{name}" for name in fields["operator"]["properties"]]
    return [field for field in fields if field not in SAYING] + remembered


SAYING = ("conditions", "phase", "observedGeneration")
ANNOUNCING = ("operator", "operator.pendingCreate")  # where a create is written down
NAMING = (*ANNOUNCING, "buildID", "deploymentID")  # where a remote object is remembered
FIELDS = [(kind, field) for kind in (AGENT_BUILD, AGENT_DEPLOYMENT) for field in status_fields(kind)]


@pytest.mark.exhaustive
@pytest.mark.parametrize(("kind", "field"), FIELDS, ids=lambda one: getattr(one, "kind", one))
async def test_nothing_is_created_while_the_crd_does_not_store_a_field_of_the_status(
    make_harness: MakeHarness, kind: Kind, field: str
) -> None:
    harness = make_harness()
    harness.cluster.serve(without(kind, "status", field))
    async with harness.running():
        await harness.with_account()
        harness.apply(a_context(), a_build(), a_deployment())
        found = await harness.wait(kind.kind, "quote", says("Ready", "False", "CRDOutdated"))
        await harness.advance(60)
        owner = harness.owner(kind.kind, "quote")
        assert harness.creates(owner) == 0
        assert f"does not store status.{field}" in message(harness, kind.kind)
        assert INSTALL in message(harness, kind.kind)
        assert f"status.{field}" in str(harness.crds.problem())
        assert next_steps.faults(found, [found]) == []

        harness.cluster.serve(SERVED[kind])
        await harness.wait(kind.kind, "quote")

        assert harness.crds.problem() is None
        assert harness.creates(owner) == 1


@pytest.mark.parametrize("published", [True, False], ids=["while the operator runs", "whose schema cannot be read"])
@pytest.mark.parametrize(("kind", "field"), [
    pytest.param(kind, field, marks=() if field in NAMING else pytest.mark.exhaustive) for kind, field in FIELDS
], ids=lambda one: getattr(one, "kind", one))
async def test_nothing_is_created_twice_by_a_crd_that_only_answers_to_writes_show_to_be_older(
    make_harness: MakeHarness, kind: Kind, field: str, published: bool
) -> None:
    harness = make_harness()
    harness.cluster.fake_api.publishes_schemas = published
    async with harness.running():
        await harness.with_account()
        harness.cluster.serve(without(kind, "status", field))
        harness.apply(a_context(), a_build(), a_deployment())
        await harness.advance(60)
        owner = harness.owner(kind.kind, "quote")
        assert harness.creates(owner) <= (0 if field in ANNOUNCING else 1)
        harness.cluster.serve(SERVED[kind])
        await harness.wait(kind.kind, "quote")

    assert harness.creates(owner) == 1


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
async def test_the_operator_starts_anew_when_a_kind_vanishes_or_comes(make_harness: MakeHarness, kind: Kind) -> None:
    harness = make_harness()
    async with harness.running():
        vanished = asyncio.ensure_future(harness.crds.run())
        await harness.advance(60)
        assert not vanished.done()
        harness.cluster.unserve(kind)
        await harness.advance(10)
        with pytest.raises(KindsChangedError, match=f"{kind.kind} vanished"):
            await vanished
    async with harness.running():
        came = asyncio.ensure_future(harness.crds.run())
        harness.cluster.serve(SERVED[kind])
        await harness.advance(10)
        with pytest.raises(KindsChangedError, match=f"{kind.kind} came"):
            await came


async def test_a_crd_that_lacks_a_field_of_the_spec_is_reported_and_stops_nothing(make_harness: MakeHarness) -> None:
    harness = make_harness()
    harness.cluster.serve(without(AGENT_BUILD, "spec", "adopt"))
    async with harness.running():
        await harness.with_account()
        harness.apply(an_image())
        await harness.wait("AgentBuild", "quote")

        assert "AgentBuild is older than the operator, and does not store spec.adopt." in str(harness.crds.problem())
