"""What a rollout tells about itself: deploy_events and log lines (agentex-api.md section 1.5)."""

from datetime import datetime
from typing import Any

from agentex_simulator.clock import stamp
from agentex_simulator.errors import RejectedError
from agentex_simulator.records import Deployment

STORY = {
    "pending": (("INFO", "Deployment accepted"),),
    "in_progress": (
        ("INFO", "Applying HelmRelease {release} in namespace {namespace}"),
        ("INFO", "Pulling image of build {build_id}"),
        ("INFO", "Waiting for the agent to become ready"),
    ),
    "healthy": (("INFO", "Release {release} is healthy"),),
    "failed": (("ERROR", "Back-off restarting failed container agent"), ("ERROR", "Release {release} failed")),
    "superseded": (("INFO", "Superseded by a newer deployment of {release}"),),
    "deleted": (("INFO", "Kubernetes resources of {release} removed"),),
}
EVENTS = {
    "in_progress": (("Normal", "Scheduled", "Assigned {release}-0 to a node"), ("Normal", "Pulling", "Pulling image")),
    "healthy": (("Normal", "Pulled", "Pulled image"), ("Normal", "Started", "Started container agent")),
    "failed": (("Warning", "BackOff", "Back-off restarting failed container agent"),),
}


def events_of(deployment: Deployment, now: datetime) -> tuple[dict[str, Any], ...]:
    """The Kubernetes events its present status brings."""
    return tuple(
        {"type": kind, "reason": reason, "message": message.format(**vars(deployment)), "timestamp": stamp(now)}
        for kind, reason, message in EVENTS.get(deployment.status, ())
    )


class RolloutLog:
    """The log lines of one deployment, in time order; ids sort as the lines do."""

    def __init__(self) -> None:
        self._lines: list[dict[str, Any]] = []

    def tell(self, deployment: Deployment, now: datetime) -> None:
        """Add the lines its present status brings."""
        for level, message in STORY.get(deployment.status, ()):
            self.add(level, message.format(**vars(deployment)), now)

    def add(self, level: str, message: str, now: datetime) -> None:
        """Add one line."""
        line_id = f"{len(self._lines) + 1:012d}"
        self._lines.append({"id": line_id, "message": message, "log_level": level, "timestamp": stamp(now)})

    def page(self, deployment_id: str, cursor: str, limit: int) -> dict[str, Any]:
        """Up to `limit` lines after the cursor. has_more means a full page; an empty page has next_cursor "", which
        would start from the top again (section 1.5). RejectedError 400 for a cursor this log never gave.
        """
        lines = self._lines[self._after(cursor) :][:limit]
        return {
            "deployment_id": deployment_id,
            "has_more": len(lines) == limit,
            "lines": lines,
            "next_cursor": lines[-1]["id"] if lines else "",
        }

    def _after(self, cursor: str) -> int:
        if cursor and not (cursor.isascii() and cursor.isdigit() and int(cursor) <= len(self._lines)):
            raise RejectedError(400, f"cursor {cursor} is not known")
        return int(cursor or 0)
