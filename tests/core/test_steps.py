"""Which writes of a status can wait: those of a step alone, until two polls after the start of the operation."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agentex_operator.api.build import AgentBuildStatus, BuiltImage
from agentex_operator.api.deployment import AgentDeploymentStatus, DeployEvent
from agentex_operator.api.operator_memory import BuildMemory, PendingCreate
from agentex_operator.api.status import Condition
from agentex_operator.core import steps

T0 = datetime(2026, 11, 24, 12, tzinfo=UTC)
POLL = timedelta(seconds=5)


def condition(kind: str, status: Any, reason: str, generation: int = 1) -> Condition:
    return Condition(type=kind, status=status, reason=reason, message=f"It is {reason}.",
                     observed_generation=generation, last_transition_time=T0)


def in_flight(reason: str, remote: str, **members: Any) -> AgentBuildStatus:
    """The status of a build whose operation began at T0."""
    said = (condition("Ready", "Unknown", reason), condition("Reconciling", "True", reason),
            condition("SourceReady", "True", "Succeeded"))
    return replace(AgentBuildStatus(observed_generation=1, phase=reason, remote_status=remote, conditions=said,
                                    build_id="b-1", attempt=1), **members)


QUEUED = in_flight("Queued", "queued")
BUILDING = in_flight("Building", "running")
READY = in_flight("Building", "success", phase="Ready", conditions=(condition("Ready", "True", "Succeeded"),))

DUE: dict[str, tuple[AgentBuildStatus, AgentBuildStatus]] = {
    "the first status": (AgentBuildStatus(), QUEUED),
    "the intent": (QUEUED, replace(BUILDING, operator=BuildMemory(
        pending_create=PendingCreate(token="a-1", attempt=2, started_at=T0)))),
    "the id": (in_flight("Building", "queued", build_id=None), QUEUED),
    "the image": (QUEUED, replace(BUILDING, image=BuiltImage(name="quote", tag="1"))),
    "the end": (BUILDING, READY),
    "the end of a build that was never seen running": (QUEUED, READY),
    "the next operation": (READY, BUILDING),
    "the remote's word is unknown": (QUEUED, in_flight("UnrecognizedStatus", "resting")),
    "the word is known again": (in_flight("UnrecognizedStatus", "resting"), BUILDING),
    "a cancellation": (QUEUED, in_flight("Cancelling", "cancelling")),
    "an edit": (QUEUED, replace(BUILDING, observed_generation=2)),
    "a request": (QUEUED, replace(BUILDING, last_handled_reconcile_requested_at="now")),
    "another condition": (QUEUED, replace(BUILDING, conditions=(
        *BUILDING.conditions[:2], condition("SourceReady", "False", "SourceNotFound")))),
}


@pytest.mark.parametrize(("stored", "status"), DUE.values(), ids=DUE)
def test_what_is_more_than_a_step_is_written_at_once(stored: AgentBuildStatus, status: AgentBuildStatus) -> None:
    assert steps.until_written(stored, status, POLL, T0) is None


@pytest.mark.parametrize(("after", "wait"), [
    (0, 10), (4, 6), (9.5, 0.5), (10, None), (60, None), (-1, None), (-3600, None)])
def test_a_step_alone_waits_until_two_polls_after_the_start(after: float, wait: float | None) -> None:
    left = steps.until_written(QUEUED, BUILDING, POLL, T0 + timedelta(seconds=after))

    assert left == (None if wait is None else timedelta(seconds=wait))


def test_the_remotes_word_alone_is_a_step_too() -> None:
    assert steps.until_written(BUILDING, replace(BUILDING, remote_status="queued"), POLL, T0) is not None


def test_the_events_of_a_rollout_under_way_are_a_step_too() -> None:
    said = (condition("Ready", "Unknown", "Deploying"), condition("Reconciling", "True", "Deploying"))
    pending = AgentDeploymentStatus(observed_generation=1, conditions=said, deployment_id="d-1")

    rolling = replace(pending, remote_status="IN_PROGRESS", events=(DeployEvent(reason="Scheduled"),))

    assert steps.until_written(pending, rolling, POLL, T0) is not None
