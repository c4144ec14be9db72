"""When a resource counts as settled."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.faults.runner.supervised_operator import LONGEST_LIFE
from tests.faults.transitions.final_state import is_settled

from agentex_operator.clock import Clock
from agentex_testkit.api_server import Object


def ready(**status: Any) -> Object:
    said = {"type": "Ready", "status": "True", "reason": "Healthy", "observedGeneration": 3}
    return {"metadata": {"generation": 3}, "status": {"observedGeneration": 3, "conditions": [said], **status}}


def ago(seconds: float) -> str:
    return (Clock().now() - timedelta(seconds=seconds)).isoformat()


def test_it_rests_though_a_create_was_never_answered_long_ago() -> None:
    assert is_settled(ready(operator={"unansweredCreateAt": ago(LONGEST_LIFE)}), 3)


def test_it_does_not_rest_while_that_create_may_take_effect() -> None:
    assert not is_settled(ready(operator={"unansweredCreateAt": ago(0)}), 3)


@pytest.mark.parametrize("kept", [
    {"pendingCreate": {"attempt": 2}},
    {"condemned": ["11111111-1111-4111-8111-111111111111"]},
])
def test_it_does_not_rest_while_something_is_under_way(kept: dict[str, Any]) -> None:
    assert not is_settled(ready(operator=kept), 3)
