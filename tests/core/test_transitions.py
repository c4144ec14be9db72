"""The Event of a write of the status, one line for each way in which Ready may change."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from agentex_operator.api.status import Condition
from agentex_operator.core import reasons
from agentex_operator.core.plan import Notice
from agentex_operator.core.transitions import Readiness, event_of, readiness_of

T0 = datetime(2026, 11, 24, 12, tzinfo=UTC)
BUILDING = Readiness("Unknown", reasons.BUILDING, "The remote build b-1 is running.", 1)
READY = Readiness("True", reasons.SUCCEEDED, "Image quote:1 is built.", 1)
FAILED = Readiness("False", reasons.BUILD_FAILED, "The build failed.", 1, stalled=True)
WAITING = Readiness("False", reasons.ACCOUNT_NOT_FOUND, "There is no account.", 1)

CASES = {
    "the first status": (None, BUILDING, Notice("Normal", reasons.BUILDING, BUILDING.message)),
    "the first status fails": (None, FAILED, Notice("Warning", reasons.BUILD_FAILED, FAILED.message)),
    "becomes Ready": (BUILDING, READY, Notice("Normal", reasons.SUCCEEDED, READY.message)),
    "stalls": (BUILDING, FAILED, Notice("Warning", reasons.BUILD_FAILED, FAILED.message)),
    "not Ready, and not stalled": (BUILDING, WAITING, Notice("Normal", reasons.ACCOUNT_NOT_FOUND, WAITING.message)),
    "another reason, same status": (WAITING, replace(WAITING, reason=reasons.ACCOUNT_NOT_READY),
                                    Notice("Normal", reasons.ACCOUNT_NOT_READY, WAITING.message)),
    "the next step": (replace(BUILDING, reason=reasons.QUEUED), BUILDING, None),
    "the next step is something else": (BUILDING, replace(BUILDING, reason=reasons.REMOTE_MISSING),
                                        Notice("Normal", reasons.REMOTE_MISSING, BUILDING.message)),
    "it goes on": (replace(BUILDING, reason=reasons.REMOTE_MISSING), BUILDING,
                   Notice("Normal", reasons.BUILDING, BUILDING.message)),
    "another status, same reason": (replace(READY, status="False"), READY,
                                    Notice("Normal", reasons.SUCCEEDED, READY.message)),
    "nothing changes": (READY, READY, None),
    "another message": (BUILDING, replace(BUILDING, message="The remote build b-1 is queued."), None),
    "another generation": (READY, replace(READY, observed_generation=2), None),
    "stalled besides": (WAITING, replace(WAITING, stalled=True), None),
    "Ready is no longer mentioned": (READY, None, None),
    "Ready was never mentioned": (None, None, None),
}


@pytest.mark.parametrize(("before", "after", "event"), CASES.values(), ids=CASES)
def test_an_event_is_emitted_when_the_status_or_the_reason_of_ready_changes(
    before: Readiness | None, after: Readiness | None, event: Notice | None
) -> None:
    assert event_of(before, after) == event


def a_condition(kind: str, status: Any = "True") -> Condition:
    return Condition(type=kind, status=status, reason="BuildFailed", message="The build failed.",
                     observed_generation=1, last_transition_time=T0)


@pytest.mark.parametrize(("stored", "readiness"), [
    ((), None),
    ((a_condition("Succeeded"), a_condition("Stalled")), None),
    ((a_condition("Ready", "False"), a_condition("Stalled")), FAILED),
    ((a_condition("Ready", "False"), a_condition("Reconciling")), replace(FAILED, stalled=False)),
])
def test_readiness_is_read_from_the_conditions(stored: tuple[Condition, ...], readiness: Readiness | None) -> None:
    assert readiness_of(stored) == readiness
