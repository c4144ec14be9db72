"""A row: what the demo shows of one resource, read from the object as the API server gives it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

GROUP = "agentex.scale.com"
PLURALS = ("clusteragentexaccounts", "agentexaccounts", "agentbuilds", "agentdeployments")
PATHS = tuple(f"/apis/{GROUP}/v1alpha1/{plural}" for plural in PLURALS)


class Key(NamedTuple):
    """Which resource it is; a cluster-wide one has no namespace."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True)
class Row:
    """A resource in words; `ready` is the status of its Ready condition, `-` when that is absent or out of date."""

    key: Key
    phase: str
    ready: str
    reason: str
    message: str
    available: bool
    expired: bool

    @property
    def is_ready(self) -> bool:
        """Tell whether what the user wrote last is Ready."""
        return self.ready == "True"


def key_of(obj: dict[str, Any]) -> Key:
    """Give the key of an object or of a document that becomes one."""
    return Key(obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


def row_of(obj: dict[str, Any]) -> Row:
    """Read an object; what is not there yet is a dash."""
    status = obj.get("status", {})
    conditions = {each["type"]: each for each in status.get("conditions", ())}
    ready = _current(conditions.get("Ready", {}), obj["metadata"].get("generation"))
    return Row(
        key=key_of(obj),
        phase=status.get("phase") or "-",
        ready=ready.get("status", "-"),
        reason=ready.get("reason", ""),
        message=ready.get("message", ""),
        available=_is_true(conditions, "Available"),
        expired=_is_true(conditions, "Expired"),
    )


def _current(condition: dict[str, Any], generation: int | None) -> dict[str, Any]:
    return condition if condition.get("observedGeneration", generation) == generation else {}


def _is_true(conditions: dict[str, dict[str, Any]], kind: str) -> bool:
    return conditions.get(kind, {}).get("status") == "True"
