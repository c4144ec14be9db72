"""Reading one listing of an account: down to the moment that is needed, keeping what was asked for, counting all."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Generic

from agentex_operator.agentex.counts import Tally
from agentex_operator.agentex.scan import Scan
from agentex_operator.core.errors import Unavailable
from agentex_operator.core.remote import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentex_operator.agentex.record_kind import RecordKind
    from agentex_operator.agentex.watch_request import Coverage, RecordFilter
    from agentex_operator.agentex.wire import EchoedTexts

UNSORTED_SECONDS = 3600.0  # a server that refused to sort is not asked to sort again for this long


@dataclass(frozen=True, slots=True)
class ReadListing(Generic[Record]):
    """One listing after it was read: what it covers, the records that were kept, and the counts of all records."""

    coverage: Coverage
    records: list[Record]
    tally: Tally[Record]


class ListingReader(Generic[Record]):
    """Reads listings of one kind, `page_size` records at a time.

    Up to `capacity` records are kept regardless of owner; of a longer listing, those that pass its filter.
    """

    def __init__(self, kind: RecordKind[Record], page_size: int, capacity: int) -> None:
        self._kind = kind
        self._page_size = page_size
        self._capacity = capacity
        self._unsorted_until = 0.0

    async def read(self, needed: Coverage) -> ReadListing[Record]:
        """The listing that covers at least what is needed. Raises what the list call raises, and Unavailable."""
        scan = Scan(self._kind.fetch_page, self._page_size, ordered=needed.began >= self._unsorted_until)
        kept: list[Record] = []
        tally = Tally(self._kind)
        async with aclosing(scan.pages(needed.back_to)) as pages:
            async for page in pages:
                listed: list[Record] = [
                    await self._with_fingerprint(record, page.texts, needed.record_filter) for record in page.records
                ]
                self._keep(kept, listed, needed.record_filter, tally)
        if not scan.sorts and self._unsorted_until <= needed.began:
            self._unsorted_until = needed.began + UNSORTED_SECONDS
        coverage = replace(needed, back_to=_reach(scan), keeps_all=tally.total <= self._capacity)
        return ReadListing(coverage, kept, tally)

    def _keep(self, kept: list[Record], listed: list[Record], record_filter: RecordFilter, tally: Tally[Record]
              ) -> None:
        """Count the records of a page, and keep them; beyond the capacity, keep only what passes the filter.

        Each record is compared with the filter once.
        """
        was_within = tally.total <= self._capacity
        tally.add(listed)
        if tally.total > self._capacity:
            if was_within:
                kept[:] = self._passing(kept, record_filter)
            listed = self._passing(listed, record_filter)
        kept += listed

    def _passing(self, records: list[Record], record_filter: RecordFilter) -> list[Record]:
        return [record for record in records if self._kind.matches(record, record_filter)]

    async def _with_fingerprint(self, record: Record, texts: Mapping[str, EchoedTexts], record_filter: RecordFilter
                                ) -> Record:
        """The record, with its fingerprint if one is asked for; other tasks run in between: a digest takes time."""
        if self._kind.add_fingerprint is None or record.id not in texts or not record_filter.fingerprints:
            return record
        await asyncio.sleep(0)
        return self._kind.add_fingerprint(record, texts[record.id])


def _reach(scan: Scan[Record]) -> datetime | None:
    """The moment since which all records were listed; None: all records of the account. Raises Unavailable.

    Of the records created in the same microsecond as the oldest one, some may be missing.
    """
    if scan.complete:
        return None
    if not scan.ordered or scan.oldest is None:
        raise Unavailable("The list is not sorted and could not be read to its end.")
    return scan.oldest + timedelta(microseconds=1)
