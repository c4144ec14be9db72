"""What kstatus, by which Flux and kpt judge custom resources, says of an object."""

from __future__ import annotations

from typing import Literal

from agentex_testkit.api_server import Object, condition

Verdict = Literal["Terminating", "InProgress", "Failed", "Current"]


def verdict(obj: Object) -> Verdict:
    """Return the status that kstatus computes, by the rules it has for kinds that it does not know."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    if status.get("observedGeneration", metadata["generation"]) != metadata["generation"]:
        return "InProgress"
    if condition(obj, "Reconciling").get("status") == "True":
        return "InProgress"
    if condition(obj, "Stalled").get("status") == "True":
        return "Failed"
    return "InProgress" if condition(obj, "Ready").get("status") in ("False", "Unknown") else "Current"
