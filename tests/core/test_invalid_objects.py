"""What an object that is no valid resource is told, and when it was told already."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agentex_operator.api.metadata import Meta
from agentex_operator.api.status import Status
from agentex_operator.core import conditions, reasons
from agentex_operator.core.invalid import IMMUTABLE, InvalidObject, invalid_object, status_of_invalid
from agentex_operator.core.transitions import Readiness, readiness_of
from agentex_testkit import next_steps

T0 = datetime(2026, 11, 24, 12, tzinfo=UTC)
META = Meta(name="quote", namespace="team", uid="uid-1", generation=3, creation_timestamp=T0)
FOUND = invalid_object(("spec", "buildArgs", 0, "name"), "Field required")


def told(found: InvalidObject = FOUND, meta: Meta = META, stored: Readiness | None = None) -> Status:
    status = status_of_invalid(found, meta, stored, T0)
    assert status is not None
    return status


def test_a_finding_names_the_member_and_the_next_step() -> None:
    assert FOUND.message == ("spec.buildArgs.0.name: Field required. Correct it, or update the CRDs to this operator's "
                             "version.")


def test_an_invalid_object_stalls_with_invalid_spec_of_its_generation() -> None:
    status = told()

    ready, stalled = status.conditions
    assert (status.phase, status.observed_generation) == ("Failed", 3)
    assert (ready.type, ready.status, ready.reason, ready.message) == ("Ready", "False", "InvalidSpec", FOUND.message)
    assert (stalled.type, stalled.status) == ("Stalled", "True")
    assert conditions.lint(status.conditions, 3) == []


def test_the_deletion_of_an_invalid_object_waits_and_says_so() -> None:
    status = told(meta=replace(META, deletion_timestamp=T0))

    assert status.conditions[0].message == f"{FOUND.message} Its deletion waits for that."


def test_an_invalid_object_is_told_once() -> None:
    stored = readiness_of(told().conditions)

    assert status_of_invalid(FOUND, META, stored, T0 + timedelta(hours=1)) is None


SAID = Readiness("False", reasons.INVALID_SPEC, FOUND.message, 3, stalled=True)


@pytest.mark.parametrize(("meta", "found", "stored"), [
    (META, FOUND, None),
    (META, FOUND, replace(SAID, reason=reasons.PROGRESSING)),
    (META, FOUND, replace(SAID, message="spec.image: Field required.")),
    (META, FOUND, replace(SAID, observed_generation=2)),
    (replace(META, generation=4), FOUND, SAID),
    (replace(META, deletion_timestamp=T0), FOUND, SAID),
    (META, invalid_object(("spec", "image"), "Field required"), SAID),
], ids=["no status", "another reason", "another message", "an earlier generation", "edited", "deleted",
        "another fault"])
def test_an_invalid_object_is_told_again_when_something_changed(meta: Meta, found: InvalidObject,
                                                                stored: Readiness | None) -> None:
    assert told(found, meta, stored).conditions[0].reason == "InvalidSpec"


def test_an_immutable_member_is_not_to_be_corrected() -> None:
    found = invalid_object(("spec", "agentName"), "it is too long")

    assert found.message == ("spec.agentName: it is too long. Create the resource anew with another value, as this one "
                             "is immutable, or update the CRDs to this operator's version.")


def test_the_immutable_members_are_those_of_the_crds() -> None:
    kinds = ("AgentBuild", "AgentDeployment", "AgentexAccount", "ClusterAgentexAccount")

    assert {".".join(path) for path in IMMUTABLE} == set().union(*map(next_steps.immutable_fields, kinds))


def test_a_member_of_the_status_is_corrected_where_kubectl_can_edit_it() -> None:
    found = invalid_object(("status", "expiresAt"), "must be a time between 0001 and 9999")

    assert "Correct it with kubectl edit --subresource=status, or update the CRDs" in found.message
