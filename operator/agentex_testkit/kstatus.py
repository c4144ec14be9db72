"""What kstatus, by which Flux and kpt judge custom resources, says of an object.

These are the rules of kstatus for kinds that it does not know; `tests/reconcile/test_kstatus.py` compares them with the
real one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from agentex_testkit.api_server import Object

Verdict = Literal["Terminating", "InProgress", "Failed", "Current"]


def verdict(obj: Object) -> Verdict:
    """Return the status that kstatus computes."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    generation, observed = metadata.get("generation"), status.get("observedGeneration")
    if None not in (generation, observed) and generation != observed:
        return "InProgress"
    conditions = [(one.get("type"), one.get("status")) for one in status.get("conditions") or ()]
    return _abnormal(conditions) or _ready(conditions) or "Current"


def _abnormal(conditions: Iterable[tuple[str, str]]) -> Verdict | None:
    """By the first of Reconciling and Stalled that is True."""
    of_true: Mapping[Any, Verdict] = {("Reconciling", "True"): "InProgress", ("Stalled", "True"): "Failed"}
    return next((of_true[one] for one in conditions if one in of_true), None)


def _ready(conditions: Iterable[tuple[str, str]]) -> Verdict | None:
    """By the first Ready whose status is one of the three."""
    of_ready: Mapping[Any, Verdict] = {("Ready", "True"): "Current", ("Ready", "False"): "InProgress",
                                       ("Ready", "Unknown"): "InProgress"}
    return next((of_ready[one] for one in conditions if one in of_ready), None)
