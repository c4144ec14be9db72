"""The create protocol P1-P9 (reliability.md §2.0): what our status remembers, and what may be done about it.

The remote knows no idempotency key, so a POST whose answer is lost may have happened, or may still happen. Drawn out:

    intent written ──► POST ──► answer ──► id written          nothing is open
          │              └─✗ answer lost                       open: look for our token, adopt it, or ...
          └──────────────── settle ──► look ──► none ──► intent written anew ──► POST    (the first may yet commit)
    deleted ──► look ──► remove ──► look: none alive ──► T_max after the last open POST ──► look ──► let go
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Generic

from agentex_operator.api.status import PendingCreate
from agentex_operator.core.remote import Listing, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agentex_operator.core.plan import Policy


@dataclass(frozen=True, slots=True)
class Hold:
    """What our status remembers of the remote side."""

    id: str | None                    # the recorded id; written once per attempt
    pending: PendingCreate | None     # written before a POST; its answer is not on record
    unanswered_at: datetime | None    # when an earlier POST was made whose answer never came
    condemned: tuple[str, ...]        # ours, but not wanted: to be removed, never adopted (I7)

    @property
    def empty(self) -> bool:
        """Nothing was ever sent for this resource, as far as we wrote down - and we write down first (P3)."""
        return self == Hold(None, None, None, ())

    @property
    def ids(self) -> frozenset[str]:
        """Every remote id on record."""
        return frozenset(self.condemned) | ({self.id} if self.id else frozenset())


def open_since(hold: Hold) -> datetime | None:
    """When the last POST was made whose answer is not on record; None when every one was answered."""
    return hold.pending.started_at if hold.pending else hold.unanswered_at


def intend(hold: Hold, token: str, attempt: int, now: datetime) -> Hold:
    """P3: the intent of one POST. An older open one stays on record as unanswered."""
    return replace(hold, id=None, pending=PendingCreate(token=token, attempt=attempt, started_at=now),
                   unanswered_at=open_since(hold))


def answered(hold: Hold, record_id: str) -> Hold:
    """P6: the POST was answered with an id."""
    return replace(hold, id=record_id, pending=None)


def lost(hold: Hold, now: datetime) -> Hold:
    """P5: no usable answer to the POST, which may have been a long one; what it made need not show at once."""
    return replace(hold, pending=replace(hold.pending, answer_lost_at=now) if hold.pending else None)


def refused(hold: Hold) -> Hold:
    """P5: the POST was answered with a definite no."""
    return replace(hold, pending=None)


def adopt(hold: Hold, record_id: str) -> Hold:
    """P4: the record of a POST whose answer was lost. If it was the only open one, nothing is open any more."""
    alone = hold.unanswered_at is None
    return replace(hold, id=record_id, pending=None, unanswered_at=None if alone else open_since(hold))


def condemn(hold: Hold, ids: Iterable[str]) -> Hold:
    """P7: not wanted. The recorded id, if among them, is given up in the same write."""
    doomed = tuple(dict.fromkeys((*hold.condemned, *ids)))
    return replace(hold, condemned=doomed, id=None if hold.id in doomed else hold.id)


def forgive_the_gone(hold: Hold, gone: Callable[[str], bool]) -> Hold:
    """Drop condemned ids that are no longer alive, so that the status stays small."""
    return replace(hold, condemned=tuple(one for one in hold.condemned if not gone(one)))


# --- looking ------------------------------------------------------------------------------------------------------


def look_not_before(hold: Hold, now: datetime, policy: Policy) -> datetime | None:
    """How fresh a listing must be to rule on an open POST (P4): after it; and once settled, after that again."""
    settled = settles_at(hold, policy)
    return settled if settled and now >= settled else open_since(hold)


def good_enough(listing: Listing[Record] | None, fresh_since: datetime | None) -> bool:
    """Whether the listing in hand began late enough."""
    return listing is not None and (fresh_since is None or listing.began_at >= fresh_since)


def settles_at(hold: Hold, policy: Policy) -> datetime | None:
    """Before this moment an open POST must not be repeated: the slow server may still commit it, or not show it yet.

    It counts from the moment in which its answer was lost, or from the intent, where a crash hid that moment.
    """
    return (hold.pending.answer_lost_at or hold.pending.started_at) + policy.settle if hold.pending else None


def first_of(records: Iterable[Record], hold: Hold, wanted: Callable[[Record], bool]) -> Record | None:
    """P4: the lowest record that is wanted and not condemned; lowest by creation, then id, so that all agree."""
    mine = (record for record in records if record.id not in hold.condemned and wanted(record))
    return min(mine, key=lambda record: (record.created_at, record.id), default=None)


# --- letting go ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sightings(Generic[Record]):
    """What is known of our records in this pass: a listing, and GETs for what it did not show."""

    listing: Listing[Record] | None = None
    confirmed: tuple[tuple[str, Record | None], ...] = ()

    @property
    def records(self) -> tuple[Record, ...]:
        """All our records seen, each once; a GET is younger than the listing it followed."""
        asked = {id_ for id_, _ in self.confirmed}
        listed = () if self.listing is None else self.listing.records
        return tuple(record for record in listed if record.id not in asked) + self._found

    @property
    def _found(self) -> tuple[Record, ...]:
        return tuple(found for _, found in self.confirmed if found is not None)

    def find(self, id_: str | None) -> Record | None:
        """The record with this id, if it was seen."""
        return next((record for record in self.records if record.id == id_), None)

    def absent(self, id_: str) -> bool:
        """Whether a GET said 404."""
        return (id_, None) in self.confirmed

    def unseen(self, ids: Iterable[str]) -> str | None:
        """P8: the first of these ids that neither the listing nor a GET has spoken of."""
        spoken = {record.id for record in self.records} | {id_ for id_, _ in self.confirmed}
        return next((id_ for id_ in sorted(ids) if id_ not in spoken), None)

    def confirm(self, id_: str, found: Record | None) -> Sightings[Record]:
        """With what a GET said."""
        earlier = tuple(one for one in self.confirmed if one[0] != id_)
        return Sightings(self.listing, earlier + ((id_, found),))  # noqa: RUF005 - mypy loses the type of a starred one


def nothing_can_come_at(hold: Hold, policy: Policy) -> datetime | None:
    """P9: T_max after the start of the last open POST; None when every POST had an answer."""
    since = open_since(hold)
    return since + policy.longest_life if since else None


def answer_by(hold: Hold, policy: Policy) -> datetime | None:
    """P9: when the client gives the pending POST up; the last eleventh of T_max is for proxies and the server.

    It counts from the intent, as T_max does: a process that was frozen in between must not send it any more.
    """
    return hold.pending.started_at + policy.longest_life * 10 / 11 if hold.pending else None


def look_for_release(hold: Hold, deleted_at: datetime, now: datetime, policy: Policy) -> datetime:
    """P9: how fresh the listing must be that says nothing is alive: after the deletion, and after T_max too."""
    free_at = nothing_can_come_at(hold, policy)
    return max(deleted_at, free_at) if free_at and now >= free_at else deleted_at


def until(moment: datetime, now: datetime) -> timedelta:
    """The time left; never negative."""
    return max(moment - now, timedelta())
