"""The removal of one remote object at a time: an intent, then the call, until a listing shows the end (P7)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agentex_operator.api.operator_memory import Removal, RemovalReason
from agentex_operator.core import calls, memory
from agentex_operator.core.plan import Plan
from agentex_operator.core.remote import Record, RemoteState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from agentex_operator.core.calls import Remove, WriteIntent
    from agentex_operator.core.protocol.observed import AnyObserved, Observed, StatusT


def remove(observed: Observed[StatusT, Record], record: Record, why: RemovalReason,
           now: datetime) -> Plan[WriteIntent[StatusT] | Remove] | None:
    """Name the record by a conditional write, then remove it; None while its removal is under way."""
    purpose = f"remove {record.id}"
    if observed.last_write_purpose == purpose:
        return Plan(calls.Remove(record.id, why))
    if record.state is RemoteState.LEAVING or under_way(observed, record.id, now):
        return None
    status, removal = condemn(observed, record.id, why), Removal(id=record.id, reason=why, requested_at=now)
    return Plan(calls.WriteIntent(replace(status, operator=replace(status.operator, removal=removal)), purpose))


def under_way(observed: AnyObserved, id_: str, now: datetime) -> bool:
    """Whether a removal is under way: of this id, or of another that no listing shows as ended yet.

    The status remembers one removal only: two at a time would overwrite each other and be requested again and again.
    """
    asked = observed.status.operator.removal
    if asked is None or not recently_requested(observed, asked.id, now):
        return False
    other = observed.seen.find(asked.id)
    shown = other is None or other.state is RemoteState.LEAVING or not observed.alive(other)
    return asked.id == id_ or not shown


def remove_one_of(observed: Observed[StatusT, Record], records: Iterable[Record], why: RemovalReason,
                  now: datetime) -> Plan[WriteIntent[StatusT] | Remove] | None:
    """Request one removal at a time; start the next once the last is visible in a listing."""
    standing = [record for record in records if record.state is not RemoteState.LEAVING]
    asked = [record for record in standing if recently_requested(observed, record.id, now)]
    return remove(observed, (asked or standing)[0], why, now) if standing else None


def condemn(observed: Observed[StatusT, Record], id_: str, why: RemovalReason) -> StatusT:
    """The status with a duplicate or replaced record condemned; an id removed by the user's wish stays on record."""
    if why not in ("Duplicate", "Replaced"):
        return observed.status
    return memory.into_status(observed.status, memory.condemn(memory.from_status(observed.status), id_))


def recently_requested(observed: AnyObserved, id_: str, now: datetime) -> bool:
    """Whether the removal of this id was requested less than `recreate_delay` ago, or in this pass at any time."""
    asked = observed.status.operator.removal
    if id_ in observed.removal_requested:
        return True
    return asked is not None and asked.id == id_ and now < asked.requested_at + observed.policy.recreate_delay
