"""Ids of remote objects that a user writes: one that could become another path is refused with what to do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentex_operator.agentex.wire import usable_id
from agentex_operator.api.build import AgentBuild
from agentex_operator.api.deployment import AgentDeployment
from agentex_operator.core.invalid import InvalidObject
from agentex_operator.reconcile.parsing import parsed
from agentex_testkit.api_server import Object
from agentex_testkit.builders import a_deployment, an_image
from agentex_testkit.harness import Harness

METADATA = {"name": "quote", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}
BAD = ["../../v5/builds", "a/b", "x?y", "..", "...", " ", "a b", "é", "b-1\n", "x" * 129]
ids = st.text("ab.-_/?% é\n", min_size=1, max_size=6) | st.sampled_from([*BAD, "b-1", ".b", "b.", "x" * 128])


def with_id(member: str, id_: str) -> Object:
    """A resource with this id in a member of its spec."""
    match member:
        case "spec.adopt.buildID":
            return an_image(adopt={"buildID": id_})
        case "spec.adopt.deploymentID":
            return a_deployment(adopt={"deploymentID": id_})
        case _:
            return a_deployment(buildRef=None, buildID=id_)


MEMBERS = ["spec.adopt.buildID", "spec.adopt.deploymentID", "spec.buildID"]


def finding(member: str, id_: str) -> InvalidObject | None:
    obj = with_id(member, id_)
    parse = AgentBuild.parse if obj["kind"] == "AgentBuild" else AgentDeployment.parse
    found = parsed(parse, {**obj, "metadata": METADATA})
    return found if isinstance(found, InvalidObject) else None


@given(st.sampled_from(MEMBERS), ids)
def test_an_id_is_taken_exactly_if_the_client_can_ask_for_it(member: str, id_: str) -> None:
    found = finding(member, id_)

    assert (found is None) == (usable_id(id_) is not None)
    if found is not None:
        assert found.message.startswith(f"{member}: ")
        assert "Correct it, or" in found.message


@pytest.mark.parametrize("id_", [BAD[0], BAD[3]])
async def test_a_stored_resource_with_such_an_id_is_told_so_and_goes_when_it_is_deleted(harness: Harness,
                                                                                       id_: str) -> None:
    harness.cluster.serve_any(harness.kind("AgentBuild"))  # as an older CRD
    harness.apply(an_image(adopt={"buildID": id_}))
    await harness.settled()

    (ready, *_) = harness.status("AgentBuild", "quote")["conditions"]
    assert (ready["reason"], ready["message"].startswith("spec.adopt.buildID: ")) == ("InvalidSpec", True)
    harness.delete("AgentBuild", "quote")
    await harness.wait("AgentBuild", "quote", lambda obj: obj is None)
