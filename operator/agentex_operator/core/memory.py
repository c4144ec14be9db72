"""RemoteMemory: all that a status remembers of the remote side, and how each step of the create protocol changes it.

The remote API has no idempotency key, so a POST whose answer is lost may have happened, or may still happen
(reliability.md §2.0, P1-P9):

    intent written ──► POST ──► answer ──► id written          no create is open
          │              └─✗ answer lost                       open: look for our token, adopt its record, or ...
          └──────────────── settle ──► look ──► none ──► intent written anew ──► POST    (the first may yet commit)
    deleted ──► look ──► remove ──► look: none alive ──► T_max after the last open POST ──► look ──► release
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from agentex_operator.api.operator_memory import PendingCreate
from agentex_operator.api.status import RemoteStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agentex_operator.core.plan import Policy
    from agentex_operator.core.remote import Record

StatusT = TypeVar("StatusT", bound=RemoteStatus)


@dataclass(frozen=True, slots=True)
class RemoteMemory:
    """The part of a status that the create protocol reads and writes."""

    id: str | None                    # the recorded id; written once per attempt
    pending: PendingCreate | None     # written before a POST; its answer is not on record
    unanswered_at: datetime | None    # when an earlier POST was sent whose answer never came
    condemned: tuple[str, ...]        # ids of ours that are not wanted: to be removed, never adopted (I7)

    @property
    def empty(self) -> bool:
        """Whether nothing was ever sent for this resource: the intent is written before each POST (P3)."""
        return self == RemoteMemory(None, None, None, ())

    @property
    def ids(self) -> frozenset[str]:
        """Every remote id on record."""
        return frozenset(self.condemned) | ({self.id} if self.id else frozenset())


def from_status(status: RemoteStatus) -> RemoteMemory:
    """The memory that a status holds."""
    kept = status.operator
    return RemoteMemory(status.remote_id, kept.pending_create, kept.unanswered_create_at, kept.condemned)


def into_status(status: StatusT, memory: RemoteMemory) -> StatusT:
    """The status with that memory in it."""
    kept = replace(status.operator, pending_create=memory.pending, unanswered_create_at=memory.unanswered_at,
                   condemned=memory.condemned)
    return replace(status, operator=kept).with_remote_id(memory.id)


# --- steps --------------------------------------------------------------------------------------------------------


def open_since(memory: RemoteMemory) -> datetime | None:
    """When the last POST was sent whose answer is not on record; None when every POST was answered."""
    return memory.pending.started_at if memory.pending else memory.unanswered_at


def intend(memory: RemoteMemory, token: str, attempt: int, now: datetime) -> RemoteMemory:
    """P3: the intent of one POST. An older open POST stays on record as unanswered."""
    return replace(memory, id=None, pending=PendingCreate(token=token, attempt=attempt, started_at=now),
                   unanswered_at=open_since(memory))


def answered(memory: RemoteMemory, record_id: str) -> RemoteMemory:
    """P6: the POST was answered with an id."""
    return replace(memory, id=record_id, pending=None)


def lost(memory: RemoteMemory, now: datetime) -> RemoteMemory:
    """P5: the POST ended without a usable answer at `now`; a record of it may show up later still."""
    return replace(memory, pending=replace(memory.pending, answer_lost_at=now) if memory.pending else None)


def refused(memory: RemoteMemory) -> RemoteMemory:
    """P5: the POST was answered with a definite no."""
    return replace(memory, pending=None)


def adopt(memory: RemoteMemory, record_id: str) -> RemoteMemory:
    """P4: the record of a POST whose answer was lost. If no other POST was open, none is open now."""
    alone = memory.unanswered_at is None
    return replace(memory, id=record_id, pending=None, unanswered_at=None if alone else open_since(memory))


def nothing_came(memory: RemoteMemory) -> RemoteMemory:
    """P9: nothing of any POST can come any more, and a listing after that has shown nothing of one: none is open."""
    return replace(memory, pending=None, unanswered_at=None)


def condemn(memory: RemoteMemory, *ids: str) -> RemoteMemory:
    """P7: these ids are not wanted. The recorded id, if among them, is given up in the same write."""
    condemned = tuple(dict.fromkeys((*memory.condemned, *ids)))
    return replace(memory, condemned=condemned, id=None if memory.id in condemned else memory.id)


def prune_gone(memory: RemoteMemory, gone: Callable[[str], bool]) -> RemoteMemory:
    """Drop the condemned ids that are no longer alive, so that the status stays small."""
    return replace(memory, condemned=tuple(one for one in memory.condemned if not gone(one)))


def first_of(records: Iterable[Record], memory: RemoteMemory, wanted: Callable[[Record], bool]) -> Record | None:
    """P4: the lowest record that is wanted and not condemned, by creation time, then id, so that replicas agree."""
    mine = (record for record in records if record.id not in memory.condemned and wanted(record))
    return min(mine, key=lambda record: (record.created_at, record.id), default=None)


# --- times --------------------------------------------------------------------------------------------------------


def look_not_before(memory: RemoteMemory, now: datetime, policy: Policy) -> datetime | None:
    """The earliest start of a listing that rules on an open POST (P4, P9).

    After it; once it is settled, or once nothing can come any more, after that moment.
    """
    moments = nothing_can_come_at(memory, policy), recreate_at(memory, policy)
    return next((one for one in moments if one and now >= one), open_since(memory))


def recreate_at(memory: RemoteMemory, policy: Policy) -> datetime | None:
    """The moment before which an open POST must not be repeated: a slow server may still commit it, or not list it.

    It counts from the moment when the answer was lost, or from the intent, where a crash hid that moment.
    """
    pending = memory.pending
    return (pending.answer_lost_at or pending.started_at) + policy.recreate_delay if pending else None


def nothing_can_come_at(memory: RemoteMemory, policy: Policy) -> datetime | None:
    """P9: T_max after the start of the last open POST; None when every POST was answered."""
    since = open_since(memory)
    return since + policy.longest_life if since else None


def answer_by(memory: RemoteMemory, policy: Policy) -> datetime | None:
    """P9: when the client gives the pending POST up; the last eleventh of T_max is for proxies and the server.

    It counts from the intent, as T_max does: a process that was frozen in between must not send the POST any more.
    """
    return memory.pending.started_at + policy.longest_life * 10 / 11 if memory.pending else None


def look_for_release(memory: RemoteMemory, deleted_at: datetime, now: datetime, policy: Policy) -> datetime:
    """P9: the earliest start of a listing that may show that nothing is alive: the deletion, and T_max if it passed."""
    free_at = nothing_can_come_at(memory, policy)
    return max(deleted_at, free_at) if free_at and now >= free_at else deleted_at


def until(moment: datetime, now: datetime) -> timedelta:
    """The time left until `moment`; never negative."""
    return max(moment - now, timedelta())
