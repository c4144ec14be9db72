"""The audit log of the API server, read while it grows: the requests of the implementation that is measured.

Every request is there with its metadata; the status patches of AgentBuilds also with their body, which tells when a
build became Ready in the API server, without a watch or a list that would load the API server.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

WRITES = frozenset({"create", "update", "patch", "delete"})
EVENTS = "events"
STATUS = "agentbuilds/status"


def policy(user: str) -> dict[str, Any]:
    """The audit policy that records the requests of this user."""
    status = [{"group": "agentex.scale.com", "resources": [STATUS]}]
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "omitManagedFields": True,
        "rules": [{"level": "Request", "users": [user], "verbs": ["patch"], "resources": status},
                  {"level": "Metadata", "users": [user]}, {"level": "None"}],
    }


@dataclass(frozen=True, slots=True)
class AuditedRequest:
    """A request that was answered `at`; `ready` and `generation` are what a status patch of an AgentBuild sets.

    `resource` has the subresource after a slash. `generation`: the observedGeneration; 0 if the patch leaves it.
    """

    at: datetime
    verb: str
    resource: str
    name: str
    code: int
    ready: bool = False
    generation: int = 0

    @property
    def wrote(self) -> bool:
        """Whether it was a write that succeeded."""
        return self.verb in WRITES and self.code < 300

    @property
    def what(self) -> str:
        """Verb and resource."""
        return f"{self.verb} {self.resource}"


class AuditLog:
    """The requests so far, oldest first, in `requests`. The API server begins a new file at 100 MB.

    `read` must be called more often than the API server fills a file.
    """

    def __init__(self, path: Path) -> None:
        self.requests: list[AuditedRequest] = []
        self._path = path
        self._file: BinaryIO | None = None
        self._unfinished = b""

    def read(self) -> int:
        """Read what was added; returns the number of requests so far."""
        if self._file is None and self._path.exists():
            self._file = self._path.open("rb")
        if self._file is not None:
            self._take(self._file)
            if self._path.exists() and self._path.stat().st_ino != os.fstat(self._file.fileno()).st_ino:
                self._take(self._file)
                self._file.close()
                self._file = self._path.open("rb")
                self._take(self._file)
        return len(self.requests)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _take(self, file: BinaryIO) -> None:
        *lines, self._unfinished = (self._unfinished + file.read()).split(b"\n")
        self.requests += [request for line in lines if (request := audited(line)) is not None]


def audited(line: bytes) -> AuditedRequest | None:
    """The request of one line of the log; None for a request that concerns no object."""
    event = json.loads(line)
    about = event.get("objectRef")
    if about is None:
        return None
    resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
    status = (event.get("requestObject") or {}).get("status") or {}
    return AuditedRequest(
        at=datetime.fromisoformat(event["stageTimestamp"]), verb=event["verb"], resource=resource,
        name=about.get("name", ""), code=event.get("responseStatus", {}).get("code", 0),
        ready=_says_ready(status.get("conditions") or ()), generation=status.get("observedGeneration") or 0,
    )


def _says_ready(conditions: Iterable[dict[str, Any]]) -> bool:
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def writes(requests: Iterable[AuditedRequest]) -> Counter[str]:
    """The writes that succeeded, by verb and resource."""
    return Counter(one.what for one in requests if one.wrote)


def without_events(counted: Counter[str]) -> int:
    """The number of these writes that are no Events."""
    return sum(count for what, count in counted.items() if not what.endswith(f" {EVENTS}"))


def refusals(requests: Iterable[AuditedRequest]) -> Counter[str]:
    """The requests that failed, by status, verb and resource."""
    return Counter(f"{one.code} {one.what}" for one in requests if one.code >= 400)


def first_ready(requests: Iterable[AuditedRequest]) -> dict[str, datetime]:
    """By name of the AgentBuild, when the API server had it as Ready for the first time."""
    found: dict[str, datetime] = {}
    for one in requests:
        if one.ready and one.code < 300:
            found.setdefault(one.name, one.at)
    return found
