"""The cache of what the listings of one account have shown so far. Pure values: no I/O, no clock.

    now ◄──────────────── created_at ────────────────► the oldest record
    |== newest listing, shallow ==|
    |== an older listing, deeper =========================|

A frequent poll of running objects reads the first page only; older records are known from an older, deeper listing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic

from agentex_operator.agentex.record_index import RecordIndex
from agentex_operator.agentex.wire import UNDATED
from agentex_operator.core.remote import Record

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from agentex_operator.agentex.record_index import AttributedRecord
    from agentex_operator.agentex.record_kind import RecordKind
    from agentex_operator.agentex.watch_request import Coverage, FreshnessBound, RecordFilter, WatchRequest


@dataclass(frozen=True, slots=True)
class LastSeen(Generic[Record]):
    """The records that a resource was last shown or woken for, and the ids it asked for that no listing had."""

    records: tuple[Record, ...]
    missing: frozenset[str]


class ListingCache(Generic[Record]):
    """The records of all listings, each as the newest listing that covers it showed it.

    Up to `capacity` records are cached beside those that are asked for: whenever there are more than that, the records
    that do not pass the filter of the newest listing are dropped.
    """

    def __init__(self, kind: RecordKind[Record], capacity: int) -> None:
        self._capacity = capacity
        self._records = RecordIndex(kind)
        self._passed = 0  # how many records passed the filter when the others were last dropped
        self.listings: tuple[Coverage, ...] = ()  # newest first, each deeper than the one before

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all cached records."""
        return tuple(self._records)

    def apply_listing(self, coverage: Coverage, records: Iterable[Record]) -> list[AttributedRecord[Record]]:
        """Take in a new listing. Within its reach only this listing counts: records it did not show are dropped.

        Returns the records that came, changed or went; of a changed record, the former and the new one. Records that
        are dropped because nobody asks for them are not among them.
        """
        changed = self._records.update(coverage.back_to, records)
        self.listings = (coverage, *(older for older in self.listings if not coverage.reaches(older.back_to)))
        if len(self._records) > self._capacity + self._passed:
            self._records.keep_only(coverage.record_filter)
            self._passed = len(self._records)
            self._narrow(coverage.record_filter)
        elif not coverage.keeps_all:
            self._narrow(coverage.record_filter)
        return changed

    def _narrow(self, record_filter: RecordFilter) -> None:
        """Note that records which do not pass this filter were dropped: no listing proves their absence any more."""
        self.listings = tuple(
            replace(coverage, keeps_all=False, record_filter=coverage.record_filter & record_filter)
            for coverage in self.listings
        )

    # --- which listing answers a request --------------------------------------------------------------------------

    def complete(self, request: WatchRequest) -> Coverage | None:
        """The newest listing that shows all records of this request; None without one."""
        return self._newest(request, request.back_to)

    def recent(self, request: WatchRequest) -> Coverage | None:
        """The newest listing that shows all records of this request that are as young as the recorded ones, or None."""
        return self._newest(request, self.oldest_recorded(request))

    def fresh(self, request: WatchRequest, recent: FreshnessBound, deep: FreshnessBound) -> Coverage | None:
        """The listing that shows all records of this request, if both parts of it are fresh enough; else None."""
        young, complete = self.recent(request), self.complete(request)
        is_fresh = young and complete and recent.allows(young) and deep.allows(complete)
        return complete if is_fresh else None

    def missing_back_to(self, request: WatchRequest, deep: FreshnessBound) -> datetime:
        """The moment to which a new listing must go back for this request, as older records may be fresh enough."""
        complete = self.complete(request)
        return self.oldest_recorded(request) if complete and deep.allows(complete) else request.back_to

    def oldest_recorded(self, request: WatchRequest) -> datetime:
        """When the oldest of the request's recorded ids was created; `back_to` while one of them was never listed."""
        seen = [self._records[id_].created_at for id_ in request.ids if id_ in self._records]
        if not seen or len(seen) < len(request.ids) or UNDATED in seen:
            return request.back_to
        return min(seen)

    def _newest(self, request: WatchRequest, back_to: datetime) -> Coverage | None:
        able = (one for one in self.listings if one.reaches(back_to) and self._shows_all(one, request))
        return next(able, None)

    def _shows_all(self, coverage: Coverage, request: WatchRequest) -> bool:
        """Whether no record of this request was dropped after the listing, and no id was recorded after it."""
        wanted = coverage.record_filter
        owned = coverage.keeps_all or request.owner in wanted.owners
        known = all(id_ in wanted.ids or id_ in self._records for id_ in request.ids)
        return wanted.includes_fingerprint(request.fingerprint) and owned and known

    # --- records --------------------------------------------------------------------------------------------------

    def last_seen(self, request: WatchRequest) -> LastSeen[Record]:
        """The cached records of this request, and those of its ids that no listing had."""
        records = self.records_of(request)
        return LastSeen(records, request.ids - {record.id for record in records})

    def records_of(self, request: WatchRequest) -> tuple[Record, ...]:
        """The cached records of this request, oldest first, then by id."""
        return self._records.asked_for(request)
