"""When a running build is cancelled: on request, beyond its timeout, for changed inputs, as a duplicate."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from agentex_operator.api.build import AgentBuildStatus
from agentex_operator.api.scalars import duration
from agentex_operator.core import reasons
from agentex_operator.core.build import records, source
from agentex_operator.core.calls import Remove, WriteIntent
from agentex_operator.core.plan import Plan, Progress, Verdict
from agentex_operator.core.protocol import conversation, removal
from agentex_operator.core.remote import BuildRecord, RemoteState

if TYPE_CHECKING:
    from datetime import datetime

    from agentex_operator.core.build.observed import Observed
    from agentex_operator.core.reasons import Reason

RemovalCall = WriteIntent[AgentBuildStatus] | Remove


def leave_alone_when_suspended(observed: Observed, _now: datetime) -> Verdict | None:
    """A suspended resource is watched; nothing is started or stopped for it."""
    if not observed.spec.suspend:
        return None
    return conversation.suspended(observed, "spec.suspend is true: the remote side is watched, nothing is started or "
                                            "stopped.")


def remove_duplicates(observed: Observed, now: datetime) -> Plan[RemovalCall] | None:
    """P7: every build of ours that is alive beside the recorded one is removed first."""
    return removal.remove_one_of(observed, _duplicates(observed), "Duplicate", now)


def wait_for_the_duplicates(observed: Observed, _now: datetime) -> Verdict | None:
    """Cancelled duplicates may keep running; create nothing until they stop."""
    leaving = _duplicates(observed)
    return _wait_for_the_end(observed, leaving[0], reasons.REPLACING) if leaving else None


def _duplicates(observed: Observed) -> list[BuildRecord]:
    return [record for record in observed.seen.records
            if observed.alive(record) and record.id != observed.status.build_id]


def cancel_when_requested(observed: Observed, now: datetime) -> Plan[RemovalCall] | Verdict | None:
    """`cancel: true` ends a running build and starts none."""
    if not observed.spec.cancel:
        return None
    if observed.state is RemoteState.SUCCEEDED:
        return None
    return _cancel(observed, "Requested", now) or start_none_when_cancelled(observed, now)


def cancel_when_overdue(observed: Observed, now: datetime) -> Plan[RemovalCall] | Verdict | None:
    """A build that runs longer than `timeout`, on our own clock, is cancelled."""
    started = observed.status.start_time
    overdue = started is not None and now >= started + duration(observed.spec.timeout)
    return _cancel(observed, "TimedOut", now) if overdue else None


def cancel_an_outdated_build(observed: Observed, now: datetime) -> Plan[RemovalCall] | Verdict | None:
    """If the inputs change while a build runs, it is cancelled before the next one starts."""
    return None if observed.is_current else _cancel(observed, "Replaced", now)


def start_none_when_cancelled(observed: Observed, _now: datetime) -> Verdict | None:
    """`cancel: true` outweighs changed inputs and a requested rebuild, also beside an image that exists."""
    if not observed.spec.cancel:
        return None
    message = "spec.cancel is true, so no image is built. Set it to false to build."
    return Verdict(ready="False", reason=reasons.CANCELLED, message=message, phase="Cancelled",
                   progress=Progress.STALLED, follow=observed.follow, look_again=source.next_look(observed))


def _cancel(observed: Observed, why: Literal["Requested", "TimedOut", "Replaced"],
            now: datetime) -> Plan[RemovalCall] | Verdict | None:
    record = observed.recorded
    if record is None or observed.state not in records.ALIVE:
        return None
    # beside `removal`, which a later removal of a duplicate overwrites
    kept = replace(observed.status.operator, cancelled_for=None if why == "Replaced" else why)
    told = replace(observed, status=replace(observed.status, operator=kept))
    return removal.remove(told, record, why, now) or _wait_for_the_end(observed, record, reasons.CANCELLING)


def _wait_for_the_end(observed: Observed, record: BuildRecord, reason: Reason) -> Verdict:
    return Verdict(ready="Unknown", reason=reason, phase="Cancelling", progress=Progress.RECONCILING,
                   message=f"Waiting for the remote build {record.id} to end ({record.raw_status}).",
                   follow=observed.follow, look_again=observed.policy.recreate_delay)
