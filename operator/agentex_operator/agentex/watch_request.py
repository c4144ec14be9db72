"""What one resource asks of the inventory: which records, how far back, how fresh. Pure values: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

DEEP_RESYNC = timedelta(minutes=5)  # records older than the recorded ones are listed this often, not at every poll


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """The records that one resource asks for, and how often they are to be listed.

    `owner`: the name of the resource in its records: the owner hex8 in a build's token, `<cluster>/<uid>` in a
    deployment's. `ids`: the remote ids in its status. `back_to`: none of its records is older. `every`: the interval
    between two listings. `fingerprint`: the configuration by which a record without a token also counts as its own.
    """

    owner: str
    ids: frozenset[str]
    back_to: datetime
    every: timedelta
    fingerprint: str | None = None

    @property
    def deep_every(self) -> timedelta:
        """The interval between two listings that go back to `back_to`."""
        return max(self.every, DEEP_RESYNC)


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """The records that a listing was made for. Other records may have been dropped: their absence proves nothing."""

    owners: frozenset[str]
    ids: frozenset[str]
    fingerprints: frozenset[str]

    @staticmethod
    def for_requests(requests: Iterable[WatchRequest]) -> RecordFilter:
        """The filter that lets through every record that one of the requests asks for."""
        requests = tuple(requests)
        return RecordFilter(
            frozenset(request.owner for request in requests),
            frozenset(id_ for request in requests for id_ in request.ids),
            frozenset(request.fingerprint for request in requests if request.fingerprint),
        )

    def __or__(self, other: RecordFilter) -> RecordFilter:
        """The filter that lets through what either of the two does."""
        return RecordFilter(_union(self.owners, other.owners), _union(self.ids, other.ids),
                            _union(self.fingerprints, other.fingerprints))

    def __and__(self, other: RecordFilter) -> RecordFilter:
        """The filter that lets through no record that one of the two drops."""
        return RecordFilter(self.owners & other.owners, self.ids & other.ids, self.fingerprints & other.fingerprints)

    def passes(self, id_: str, owner: str | None, fingerprint: str | None) -> bool:
        """Whether a record of this id, owner and fingerprint passes."""
        return id_ in self.ids or owner in self.owners or fingerprint in self.fingerprints

    def includes_fingerprint(self, fingerprint: str | None) -> bool:
        """Whether records of this fingerprint pass; True for None: no fingerprint was asked for."""
        return fingerprint is None or fingerprint in self.fingerprints


def _union(names: frozenset[str], others: frozenset[str]) -> frozenset[str]:
    """All names of both; if the first set has them all, that set itself, as a copy of ten thousand names takes time."""
    return names if others <= names else names | others


EVERYTHING_DROPPED: Final = RecordFilter(frozenset(), frozenset(), frozenset())


@dataclass(frozen=True, slots=True)
class Coverage:
    """What one listing covers: when it began, on the wall clock and the monotonic clock (seconds), and how far back.

    `back_to`: every record created since then was listed; None: every record of the account. `keeps_all`: all listed
    records were kept, not only those that pass `record_filter`.
    """

    began_at: datetime
    began: float
    back_to: datetime | None
    record_filter: RecordFilter
    keeps_all: bool = False

    def reaches(self, moment: datetime | None) -> bool:
        """Whether the listing goes back to that moment; None stands for the oldest record of the account."""
        return self.back_to is None or (moment is not None and self.back_to <= moment)

    def serves(self, request: WatchRequest, back_to: datetime) -> bool:
        """Whether a listing that is under way also answers this request, back to that moment."""
        wanted = self.record_filter
        return (request.owner in wanted.owners and request.ids <= wanted.ids
                and wanted.includes_fingerprint(request.fingerprint) and self.reaches(back_to))


@dataclass(frozen=True, slots=True)
class FreshnessBound:
    """The earliest beginning of a listing that is fresh enough.

    Both clocks count: a wall clock that was set back, or forward, must not make a stale listing look fresh.
    """

    at: datetime
    monotonic: float

    @staticmethod
    def of_age(age: timedelta, now: datetime, monotonic: float) -> FreshnessBound:
        """The bound for listings at most `age` old; a negative age (a moment in the future) counts as zero."""
        age = max(age, timedelta())
        return FreshnessBound(now - age, monotonic - age.total_seconds())

    def not_before(self, monotonic: float) -> FreshnessBound:
        """The bound, and no earlier than this moment of the monotonic clock."""
        return replace(self, monotonic=max(self.monotonic, monotonic))

    def allows(self, coverage: Coverage) -> bool:
        """Whether that listing began no earlier than the bound, on both clocks."""
        return coverage.began_at >= self.at and coverage.began >= self.monotonic
