"""The cached records of one account, by id, by owner, by fingerprint, and in the order of their creation.

An update costs as much as the records that it shows and the records created since its bound, however many there are.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

from agentex_operator.agentex.name_index import NameIndex
from agentex_operator.core.remote import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from agentex_operator.agentex.record_kind import RecordKind
    from agentex_operator.agentex.watch_request import RecordFilter, WatchRequest


@dataclass(frozen=True, slots=True)
class AttributedRecord(Generic[Record]):
    """A record, and the owner and the fingerprint that its kind read from it."""

    record: Record
    owner: str | None
    fingerprint: str | None


class RecordIndex(Generic[Record]):
    """The cached records. `kind` reads the owner and the fingerprint of a record once, when the record is put in."""

    def __init__(self, kind: RecordKind[Record]) -> None:
        self._kind = kind
        self._entries: dict[str, AttributedRecord[Record]] = {}
        self._by_owner, self._by_fingerprint = NameIndex(), NameIndex()
        self._order: list[str] = []  # the ids, by the time of creation, then by id

    def __len__(self) -> int:
        """The number of records."""
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        """The ids of all records, oldest first."""
        return iter(self._order)

    def __contains__(self, id_: str) -> bool:
        """Whether there is a record of this id."""
        return id_ in self._entries

    def __getitem__(self, id_: str) -> Record:
        """The record of this id. Raises KeyError."""
        return self._entries[id_].record

    def asked_for(self, request: WatchRequest) -> tuple[Record, ...]:
        """The records of the request's owner, ids and fingerprint, oldest first, then by id."""
        ids = (self._by_owner.of(request.owner) | self._by_fingerprint.of(request.fingerprint)
               | {id_ for id_ in request.ids if id_ in self})
        return tuple(self[id_] for id_ in sorted(ids, key=self._position_of))

    def update(self, since: datetime | None, shown: Iterable[Record]) -> list[AttributedRecord[Record]]:
        """Put in these records, and drop all others that were created since then (None: all others).

        Returns the records that were put in or dropped; of a changed record, the former and the new one.
        """
        records = {record.id: record for record in shown}
        put = [self._attributed(record) for record in records.values() if self._differs(record)]
        dropped = [self._entries[id_] for id_ in self._order[self._first(since):] if id_ not in records]
        dropped += [self._entries[one.record.id] for one in put if one.record.id in self._entries]
        self._change(dropped, put)
        return dropped + put

    def keep_only(self, record_filter: RecordFilter) -> None:
        """Drop the records that do not pass the filter."""
        dropped = [one for one in self._entries.values()
                   if not record_filter.passes(one.record.id, one.owner, one.fingerprint)]
        self._change(dropped, [])

    def _attributed(self, record: Record) -> AttributedRecord[Record]:
        return AttributedRecord(record, self._kind.owner_of(record), self._kind.fingerprint_of(record))

    def _differs(self, record: Record) -> bool:
        known = self._entries.get(record.id)
        return known is None or known.record != record

    def _change(self, dropped: list[AttributedRecord[Record]], put: list[AttributedRecord[Record]]) -> None:
        """Drop these entries, then put in those, and restore the order from the oldest of them on."""
        if not (dropped or put):
            return
        start = self._first(min(one.record.created_at for one in (*dropped, *put)))
        for one in dropped:
            del self._entries[one.record.id]
            self._by_owner.discard(one.owner, one.record.id)
            self._by_fingerprint.discard(one.fingerprint, one.record.id)
        unmoved = [id_ for id_ in self._order[start:] if id_ in self._entries]
        for one in put:
            self._entries[one.record.id] = one
            self._by_owner.add(one.owner, one.record.id)
            self._by_fingerprint.add(one.fingerprint, one.record.id)
        self._order[start:] = sorted([*unmoved, *(one.record.id for one in put)], key=self._position_of)

    def _first(self, since: datetime | None) -> int:
        """The place, in the order, of the first record created since then."""
        return 0 if since is None else bisect_left(self._order, since, key=lambda id_: self[id_].created_at)

    def _position_of(self, id_: str) -> tuple[datetime, str]:
        return self[id_].created_at, id_
