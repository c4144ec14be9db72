"""One walk through a list, page by page, newest first, in spite of the faults a list may have (reliability.md §2d)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Generic

from agentex_operator.agentex.transport import AnswerTooLarge
from agentex_operator.agentex.wire import UNDATED, Page
from agentex_operator.core.errors import Rejected, Unavailable
from agentex_operator.core.remote import Record

if TYPE_CHECKING:
    from datetime import datetime

PAGE_CAP = 2000
RESTART_CAP = 3
BAD_REQUEST = frozenset({400, 422})

FetchPage = Callable[[int, str | None, bool], Awaitable[Page[Record]]]


class Scan(Generic[Record]):
    """A walk through a list: iterate `pages`, and stop when enough was read. For one use.

    - A server that refuses to sort is read unsorted, to the end; a server that ignores the sorting is noticed by its
      dates.
    - If a cursor is refused (its record is gone), the walk starts over from the top; records are not repeated.
    - Duplicates across pages are dropped; an empty page, or a page without a next one, ends the walk.
    - A page too large to read is requested again at half the size.
    """

    def __init__(self, fetch_page: FetchPage[Record], limit: int, *, ordered: bool = True) -> None:
        self._fetch_page: FetchPage[Record] = fetch_page
        self._limit = limit
        self._after: str | None = None
        self._restarts = 0
        self._seen: set[str] = set()
        self._last_date: datetime | None = None
        self.sorts = ordered                     # whether the server accepts the sorting
        self.ordered = ordered                   # whether it does sort; if not, only a complete walk proves an absence
        self.complete = False                    # whether the walk reached the oldest record
        self.oldest: datetime | None = None      # if `ordered`, everything younger than this was seen

    async def pages(self, need: datetime | None = None) -> AsyncGenerator[Page[Record], None]:
        """Each page, without the records of earlier pages, until all records since `need` were seen; None: all records.

        Raises what the fetch raises, and Unavailable for a list that does not end or that loses its cursor repeatedly.
        """
        for _ in range(PAGE_CAP):
            page = await self._next_page()
            asked_after, fresh = self._after, self._unseen(page)
            self._note(page, fresh)
            yield replace(page, records=fresh)
            if self._reached(need) or not self._has_next(page, fresh, asked_after):
                return
        raise Unavailable(f"The list had not ended after {PAGE_CAP} pages.")

    async def _next_page(self) -> Page[Record]:
        while True:
            try:
                return await self._fetch_page(self._limit, self._after, self.sorts)
            except AnswerTooLarge as error:
                self._halve_page(error)
            except Rejected as error:
                self._adapt(error)

    def _halve_page(self, error: AnswerTooLarge) -> None:
        if self._limit == 1:
            raise error
        self._limit //= 2

    def _adapt(self, error: Rejected) -> None:
        """Go on without what a refused page may be about: on the first page the sorting, later the cursor."""
        if error.status not in BAD_REQUEST or not (self.sorts or self._after):
            raise error
        if self._after is None:
            self.sorts = self.ordered = False
        else:
            self._start_over(error)

    def _start_over(self, error: Rejected) -> None:
        self._restarts += 1
        if self._restarts > RESTART_CAP:
            raise Unavailable(f"The list lost its cursor {self._restarts} times.") from error
        self._after = self._last_date = None

    def _unseen(self, page: Page[Record]) -> tuple[Record, ...]:
        unseen = {record.id: record for record in page.records if record.id not in self._seen}
        self._seen.update(unseen)
        return tuple(unseen.values())

    def _note(self, page: Page[Record], fresh: Iterable[Record]) -> None:
        # has_more may be wrong either way. A full page that claims to be the last is followed by another request. A
        # page with only the cursor's own record is the end. A longer page of known records may come from a server
        # that ignores cursors, and proves nothing.
        at_the_end = page.length == 1 < self._limit and page.last_id == self._after
        self.complete = page.length == 0 or at_the_end or (not page.has_more and page.length < self._limit)
        self._after = page.last_id
        self._note_dates([record.created_at for record in fresh if record.created_at != UNDATED])

    def _note_dates(self, dates: list[datetime]) -> None:
        walked = [self._last_date, *dates] if self._last_date else dates
        if any(later > earlier for earlier, later in pairwise(walked)):
            self.ordered = False
        if dates:
            self._last_date = dates[-1]
            self.oldest = min(self.oldest or dates[-1], dates[-1])

    def _reached(self, need: datetime | None) -> bool:
        deep_enough = self.ordered and need is not None and self.oldest is not None and self.oldest < need
        return self.complete or deep_enough

    def _has_next(self, page: Page[Record], fresh: Iterable[Record], asked_after: str | None) -> bool:
        """Whether there is a next page to request; after a restart, the known pages are read again."""
        catching_up = self._restarts > 0 and page.last_id != asked_after
        return page.last_id is not None and (bool(fresh) or catching_up)
