"""Objects that the API server let through, as an older CRD does, and our models do not: told so, and left alone."""

from __future__ import annotations

from typing import Any

import pytest

from agentex_operator.core.errors import Unavailable
from agentex_operator.kube.kinds import AGENT_BUILD, AGENT_DEPLOYMENT, AGENTEX_ACCOUNT, KINDS
from agentex_testkit.api_server import Object, condition, gone, ready, says, stalled
from agentex_testkit.builders import (
    ENVIRONMENTS,
    STUCK,
    a_build,
    a_context,
    a_deployment,
    a_manifest,
    a_preview,
    a_secret,
    an_account,
    an_image,
)
from agentex_testkit.fake_cluster.faults import Fault
from agentex_testkit.harness import Harness

INVALID = [an_image(retries="two"), a_deployment(buildRef={"name": ""}),
           an_account("https://agentex.invalid", limits=7)]


@pytest.fixture
def lenient(harness: Harness) -> Harness:
    """The API server has older CRDs, which let everything through."""
    for kind in KINDS:
        harness.cluster.serve_any(kind)
    return harness


@pytest.mark.parametrize("invalid", INVALID, ids=lambda obj: obj["kind"])
async def test_an_invalid_object_is_told_so_once_and_nothing_remote_is_touched(
    lenient: Harness, invalid: Object
) -> None:
    kind = invalid["kind"]
    name = "default" if kind == "AgentexAccount" else "quote"
    before = (lenient.get(kind, name) or {"metadata": {}})["metadata"].get("finalizers")
    lenient.apply(invalid)
    found = await lenient.wait(kind, name, stalled("InvalidSpec"))
    lenient.annotate(kind, name, note="1")
    await lenient.advance(600)

    again = lenient.get(kind, name) or {}
    assert again["status"] == found["status"]
    assert again["metadata"].get("finalizers") == before
    assert {call["method"] for call in lenient.simulator.calls()} == {"GET"}


SPECS_THAT_CANNOT_BE_READ: dict[str, object] = {
    "a number that is a word": {"retries": "two"}, "no image": {"image": None}, "no source": {"source": 7},
    "a duration too long": {"timeout": "9" * 31 + "h"}, "build arguments of numbers": {"buildArgs": [1, 2]},
    "many at once": {"image": [], "timeout": {}, "accountRef": {"name": 1}, "agentName": False},
    "no spec": None, "a spec of text": "text",
}


@pytest.mark.parametrize("spec", SPECS_THAT_CANNOT_BE_READ.values(), ids=SPECS_THAT_CANNOT_BE_READ)
async def test_the_deletion_of_an_invalid_build_goes_on_from_the_status(lenient: Harness, spec: object) -> None:
    lenient.apply(a_context(dockerfile=STUCK), a_build())
    await lenient.wait("AgentBuild", "quote", lambda obj: "buildID" in ((obj or {}).get("status") or {}))
    owner = lenient.owner("AgentBuild", "quote")
    lenient.edit("AgentBuild", "quote", spec=spec)
    await lenient.wait("AgentBuild", "quote", stalled("InvalidSpec"))
    assert len(lenient.living(owner)) == 1

    lenient.delete("AgentBuild", "quote")
    await lenient.wait("AgentBuild", "quote", gone)

    assert (lenient.living(owner), lenient.creates(owner)) == ([], 1)


@pytest.mark.parametrize("spec", [
    {"preview": {"expiresAt": "9999-12-31T23:59:59-05:00", "ttl": None}},
    {"preview": {"expiresAt": "0001-01-01T00:00:00+14:00", "ttl": None}},
    {"preview": 7}, {"manifest": None, "environments": "x"}, None,
], ids=["after the last time", "before the first time", "no preview", "no texts", "no spec"])
async def test_the_deletion_of_an_invalid_preview_goes_on_from_the_status(harness: Harness, spec: object) -> None:
    harness.apply(an_image(), a_preview())
    before = await harness.wait("AgentDeployment", "quote")
    owner = harness.owner("AgentDeployment", "quote")
    harness.cluster.serve_any(AGENT_DEPLOYMENT)
    harness.edit("AgentDeployment", "quote", spec=spec)
    found = await harness.wait("AgentDeployment", "quote", stalled("InvalidSpec"))
    assert found["status"]["deploymentID"] == before["status"]["deploymentID"]

    harness.delete("AgentDeployment", "quote")
    await harness.wait("AgentDeployment", "quote", gone)

    assert harness.living(owner) == []


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+14:00"])
async def test_a_new_preview_with_a_time_that_utc_cannot_express_is_told_the_field(
    harness: Harness, moment: str
) -> None:
    harness.apply(an_image(), a_preview(preview={"expiresAt": moment}))

    found = await harness.wait("AgentDeployment", "quote", stalled("InvalidSpec"))

    assert condition(found, "Ready")["message"].startswith("spec.preview.expiresAt: must be a time between ")


@pytest.mark.parametrize("member", ["manifest", "environments"])
async def test_a_text_with_a_value_that_does_not_fit_its_tag_is_told_the_line(harness: Harness, member: str) -> None:
    texts = {"manifest": f"{a_manifest()}local_development: {{agent: {{port: !!int ''}}}}\n",
             "environments": f"{ENVIRONMENTS}debug: !!bool enabled\n"}
    spec: dict[str, Any] = {member: {"inline": texts[member]}, "environment": "dev"}
    harness.apply(an_image(), a_deployment(**spec))

    found = await harness.wait("AgentDeployment", "quote", stalled(f"Invalid{member.capitalize()}"))

    assert f"(line {texts[member].count(chr(10))})" in condition(found, "Ready")["message"]


async def test_a_deletion_waits_for_a_deletion_policy_that_cannot_be_read(lenient: Harness) -> None:
    lenient.apply(an_image())
    await lenient.wait("AgentBuild", "quote")
    lenient.edit("AgentBuild", "quote", spec={"deletionPolicy": "Later"})
    lenient.delete("AgentBuild", "quote")
    found = await lenient.wait("AgentBuild", "quote", stalled("InvalidSpec"))
    message = condition(found, "Ready")["message"]
    assert message.startswith("spec.deletionPolicy: ")
    assert "Its deletion waits for that." in message

    lenient.edit("AgentBuild", "quote", spec={"deletionPolicy": "Orphan"})
    await lenient.wait("AgentBuild", "quote", gone)


async def test_a_policy_that_can_be_read_is_kept_beside_members_that_cannot(lenient: Harness) -> None:
    lenient.apply(an_image(), a_preview(deletionPolicy="Orphan"))
    await lenient.wait("AgentDeployment", "quote")
    owner = lenient.owner("AgentDeployment", "quote")
    lenient.edit("AgentDeployment", "quote", spec={"manifest": 7, "environments": [], "preview": False})

    lenient.delete("AgentDeployment", "quote")
    await lenient.wait("AgentDeployment", "quote", gone)

    assert len(lenient.living(owner)) == 1


async def test_resources_of_an_account_that_cannot_be_read_are_told(bare: Harness) -> None:
    bare.cluster.serve_any(AGENTEX_ACCOUNT)
    bare.apply(a_secret(), an_account(bare.simulator.url, limits=7), an_image())

    found = await bare.wait("AgentBuild", "quote", says("Ready", "False", "AccountNotReady"))

    assert "AgentexAccount 'default' is not ready: spec.limits: " in condition(found, "Ready")["message"]
    bare.edit("AgentexAccount", "default", spec={"limits": {"requestsPerSecond": 100}})
    await bare.wait("AgentBuild", "quote")


async def test_an_object_that_is_corrected_becomes_ready(lenient: Harness) -> None:
    lenient.apply(an_image(retries="two"))
    await lenient.wait("AgentBuild", "quote", stalled("InvalidSpec"))

    lenient.edit("AgentBuild", "quote", spec={"retries": 1})
    await lenient.wait("AgentBuild", "quote")

    assert ready(lenient.get("AgentBuild", "quote"))


async def test_a_status_that_cannot_be_written_is_written_by_the_next_pass(lenient: Harness) -> None:
    fault = lenient.cluster.fail(Fault("patch_status", AGENT_BUILD, error=Unavailable("away"), times=2))
    lenient.apply(an_image(retries="two"))

    await lenient.wait("AgentBuild", "quote", stalled("InvalidSpec"))

    assert fault.happened == 2
