"""What the status says of a build that runs, succeeded or failed, and the log of a failed one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agentex_operator.api.scalars import duration
from agentex_operator.core import calls, memory, reasons
from agentex_operator.core.build import records, retry, source
from agentex_operator.core.errors import ExternalError
from agentex_operator.core.failures import FailureClass, classify
from agentex_operator.core.plan import Plan, Progress, Verdict
from agentex_operator.core.protocol import conversation
from agentex_operator.core.remote import BUILD_STATES, RemoteState

if TYPE_CHECKING:
    from datetime import datetime

    from agentex_operator.core.build.observed import Observed
    from agentex_operator.core.calls import ReadLogTail

IN_FLIGHT = {
    RemoteState.WAITING: (reasons.QUEUED, "Queued"),
    RemoteState.RUNNING: (reasons.BUILDING, "Building"),
    RemoteState.LEAVING: (reasons.CANCELLING, "Cancelling"),
}


def follow_the_running(observed: Observed, _now: datetime) -> Verdict | None:
    """Report the state of a build in flight, and leave it alone."""
    record, state = observed.recorded, observed.state
    if record is None or state not in records.ALIVE:
        return None
    reason, phase = IN_FLIGHT.get(state, (reasons.PROGRESSING, "Building"))
    if record.raw_status.lower() not in BUILD_STATES:
        reason = reasons.UNRECOGNIZED_STATUS
    ends = (observed.status.start_time or observed.started_at) + duration(observed.spec.timeout)
    return Verdict(ready="Unknown", reason=reason, phase=phase, progress=Progress.RECONCILING,
                   message=f"The remote build {record.id} is {record.raw_status}.", follow=observed.follow,
                   look_again=min(memory.until(ends, observed.started_at), source.next_look(observed)))


def read_the_log_of_a_failure(observed: Observed, _now: datetime) -> Plan[ReadLogTail] | None:
    """Only the log tells why a build failed (agentex-api.md §1.2): read its last lines, until there is an answer."""
    unexplained = observed.state in records.UNSUCCESSFUL - {RemoteState.CANCELLED} and observed.status.log_tail is None
    if not unexplained or observed.log_withheld or observed.status.build_id is None or not observed.is_current:
        return None
    return Plan(calls.ReadLogTail(observed.status.build_id))


def report_success(observed: Observed, now: datetime) -> Verdict | None:
    """The image of the wanted inputs exists."""
    done = observed.state is RemoteState.SUCCEEDED and observed.is_current and _source_allows(observed)
    if not done or retry.another_is_due(observed, now):
        return None
    image = observed.status.image
    return Verdict(ready="True", reason=reasons.SUCCEEDED, phase="Ready", follow=observed.follow,
                   message=f"Image {image.url or f'{image.name}:{image.tag}'} is built." if image else "Built.",
                   look_again=source.next_look(observed))


def _source_allows(observed: Observed) -> bool:
    return observed.source_failure is None or conversation.is_ready_now(observed)


def report_failure(observed: Observed, now: datetime) -> Verdict | None:
    """The build ended without an image, and no other attempt is due."""
    over = observed.state in records.UNSUCCESSFUL and observed.is_current and not retry.another_is_due(observed, now)
    if not over:
        return None
    reason, message = observed.unsuccessful
    return Verdict(ready="False", reason=reason, message=message, phase="Failed", progress=Progress.STALLED,
                   follow=observed.follow, look_again=source.next_look(observed))


def settle_log(observed: Observed, call: ReadLogTail, outcome: object) -> Observed:
    """The log's last lines, and the one that names the cause. A temporary error leaves them to the next pass."""
    if isinstance(outcome, ExternalError) and classify(outcome).failure_class is not FailureClass.STALLED:
        return replace(observed, log_withheld=True)
    lines = () if isinstance(outcome, ExternalError) else call.read(outcome)
    tail = "\n".join(lines).encode("utf-8", "replace")[-4096:].decode(errors="ignore") or "(no log)"
    return replace(observed, status=replace(observed.status, log_tail=tail, failure_message=telling_line(lines)))


def telling_line(lines: tuple[str, ...]) -> str | None:
    """The last line that names an error, else the last that is not empty; at most 300 characters."""
    spoken = [line.strip() for line in lines if line.strip()]
    telling = [line for line in spoken if any(word in line.lower() for word in ("error", "failed", "denied", "fatal"))]
    return (telling or spoken or [""])[-1][:300] or None
