"""The state in which a resource came to rest: its status and its remote record, varying values masked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.faults.runner.supervised_operator import LONGEST_LIFE

from agentex_operator.clock import Clock
from agentex_testkit.api_server import Object, condition, remembered

WAITING = frozenset({"AccountNotFound", "AccountNotAllowed", "AccessDenied", "BuildNotFound", "ConfigMapNotFound",
                     "SecretNotFound", "KeyNotFound", "SecretInvalid", "SourceNotFound", "RemoteUnavailable"})
UNDER_WAY = ("pendingCreate", "condemned")
# Of the status: times, counters and ids of this very resource, and what it remembers of what was before.
VARYING = frozenset({
    "observedGeneration", "lastTransitionTime", "startTime", "completionTime", "progressingSince", "refusedAt",
    "missingSince", "expiresAt", "timestamp", "attempt", "retriesUsed", "removal", "lastHealthyDeploymentID",
    "predecessorID", "configurationDigest", "agentID", "sourceFingerprint", "builds", "deployments", "throttled",
    "unansweredCreateAt", "corrections",
})
# Of the record: what consistency.py compares with the spec instead.
VARYING_IN_RECORDS = frozenset({"created_at", "expires_at", "agent_id", "build_id"})
MASKS = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"\b([0-9a-f]{12})-[0-9a-f]{8}\d+\b"), r"\1-OWNER"),
    (re.compile(r"owner [0-9a-f]{8}\.\d+"), "owner OWNER"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)"), "TIME"),
    (re.compile(r"NAME(-[a-z0-9-]+)?-[0-9a-f]{4}\b"), "RELEASE"),
)


@dataclass(frozen=True)
class FinalState:
    """A settled resource. `creates` and `removals`: how many there were so far."""

    obj: Object
    record: Mapping[str, Any] | None
    creates: int = 0
    removals: int = 0
    masked: Any = field(default=None)

    @property
    def status(self) -> dict[str, Any]:
        return self.obj.get("status") or {}

    @property
    def said(self) -> Object:
        """The condition Ready."""
        return condition(self.obj, "Ready")


def final_state_of(obj: Object, record: Mapping[str, Any] | None, creates: int, removals: int) -> FinalState:
    """The final state of this object."""
    name = obj["metadata"]["name"]
    status = _masked(obj.get("status") or {}, name, VARYING)
    kept = None if record is None else _masked(record, name, VARYING_IN_RECORDS)
    return FinalState(obj, record, creates, removals, {"status": status, "remote": kept})


def differences(one: FinalState, other: FinalState, *, shallow: bool = False) -> list[str]:
    """Where two final states differ; `shallow`: compares only status and reason of Ready."""
    if shallow:
        words = [(it.said["status"], it.said["reason"]) for it in (one, other)]
        return [] if words[0] == words[1] else [f"Ready is {words[0]}, and {words[1]} for one created so"]
    return list(_differing(one.masked, other.masked, ""))


def _differing(one: Any, other: Any, path: str) -> Iterator[str]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted(one.keys() | other.keys()):
            yield from _differing(one.get(key), other.get(key), f"{path}.{key}")
    elif one != other:
        here, there = (json.dumps(it, default=str) for it in (one, other))
        yield f"{path.removeprefix('.')} is {here}, and {there} for one created so"


def _masked(value: Any, name: str, chance: frozenset[str]) -> Any:
    if isinstance(value, str):
        return _plain(value, name)
    if isinstance(value, Mapping):
        kept = {key: _masked(one, name, chance) for key, one in value.items() if key not in chance}
        return {key: one for key, one in kept.items() if one != {}}
    return [_masked(one, name, chance) for one in value] if isinstance(value, list) else value


def _plain(text: str, name: str) -> str:
    text = text.replace(name, "NAME")
    for pattern, word in MASKS:
        text = pattern.sub(word, text)
    return text


def is_settled(obj: Object | None, generation: int) -> bool:
    """Whether nothing more will happen: it is Ready, stalled, or waits for something that does not come."""
    if obj is None or obj["metadata"]["generation"] < generation:
        return False
    status, said = obj.get("status") or {}, condition(obj, "Ready")
    fresh = said.get("observedGeneration") == status.get("observedGeneration") == obj["metadata"]["generation"]
    if not fresh or any(remembered(status).get(one) for one in UNDER_WAY) or _may_still_come(status):
        return False
    decided = said["status"] == "True" or bool(condition(obj, "Stalled"))
    return decided or said["reason"] in WAITING


def _may_still_come(status: Object) -> bool:
    """Whether a create of which no answer came can take effect yet: that there was one stays on record. An edit that
    comes between the answer and its record leaves one, or a machine that is busy.
    """
    since = remembered(status).get("unansweredCreateAt")
    return since is not None and Clock().now() < datetime.fromisoformat(since) + timedelta(seconds=LONGEST_LIFE)
