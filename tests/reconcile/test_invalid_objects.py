"""Objects that the API server let through, as an older CRD does, and our models do not: told so, and left alone."""

from __future__ import annotations

import pytest

from agentex_operator.core.errors import Unavailable
from agentex_operator.kube.kinds import AGENT_BUILD, KINDS
from agentex_testkit.api_server import Object, condition, ready, stalled
from agentex_testkit.builders import a_deployment, an_account, an_image
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
    lenient.apply(invalid)
    found = await lenient.wait(kind, name, stalled("InvalidSpec"))
    lenient.annotate(kind, name, note="1")
    await lenient.advance(600)

    again = lenient.get(kind, name) or {}
    assert again["status"] == found["status"]
    assert "finalizers" not in again["metadata"]
    assert {call["method"] for call in lenient.simulator.calls()} == {"GET"}


async def test_an_invalid_object_that_is_being_deleted_waits_for_its_correction(lenient: Harness) -> None:
    lenient.apply(an_image())
    await lenient.wait("AgentBuild", "quote")
    lenient.edit("AgentBuild", "quote", spec={"retries": "two"})
    lenient.delete("AgentBuild", "quote")

    found = await lenient.wait("AgentBuild", "quote", stalled("InvalidSpec"))

    assert "Its deletion waits for that." in condition(found, "Ready")["message"]


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
