"""What listings of one account have shown so far, in layers. Pure values: no I/O, no clock.

    now ◄──────────────── created_at ────────────────► the very first
    |== newest listing, shallow ==|
    |== an older one, which went further =================|

A fast poll of what is in flight reads the first page only; what lies deeper is known from an older, deeper listing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic

from agentex_operator.agentex.wire import UNDATED
from agentex_operator.core.remote import BuildRecord, DeploymentRecord, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Interest:
    """What one resource wants looked at.

    `owner`: how records name it: the owner hex8 in a build's token, `<cluster>/<uid>` in a deployment's. `ids`: remote
    ids on its record. `back_to`: nothing of it is older. `every`: how often to look. `fingerprint`: the configuration
    that also makes a deployment without a token count as its own.
    """

    owner: str
    ids: frozenset[str]
    back_to: datetime
    every: timedelta
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records a listing was made for: where others were not kept, their absence means nothing."""

    owners: frozenset[str]
    ids: frozenset[str]
    fingerprints: frozenset[str]

    @staticmethod
    def by(interests: Iterable[Interest]) -> Wanted:
        """What all of them together want."""
        interests = tuple(interests)
        return Wanted(
            frozenset(interest.owner for interest in interests),
            frozenset(id_ for interest in interests for id_ in interest.ids),
            frozenset(interest.fingerprint for interest in interests if interest.fingerprint),
        )



@dataclass(frozen=True, slots=True)
class Layer:
    """One listing: when it began, by the wall clock and the monotonic one (seconds), and how far it reached."""

    began_at: datetime
    began: float
    back_to: datetime | None  # everything created since then was listed; None: everything
    wanted: Wanted
    everything: bool = False  # whether all records were kept, not only the wanted ones

    def reaches(self, moment: datetime | None) -> bool:
        """Whether it went that far; None is the very first record."""
        return self.back_to is None or (moment is not None and self.back_to <= moment)


@dataclass(frozen=True, slots=True)
class Bar:
    """How fresh a listing must be, on both clocks: a wall clock that was set back, or forward, must not pass it."""

    at: datetime
    monotonic: float

    def passed_by(self, layer: Layer) -> bool:
        """Whether the listing began no earlier."""
        return layer.began_at >= self.at and layer.began >= self.monotonic


class Knowledge(Generic[Record]):
    """The wanted records of all layers, each as its newest listing showed it."""

    def __init__(self, owner_of: Callable[[Record], str | None]) -> None:
        self._owner_of: Callable[[Record], str | None] = owner_of
        self._records: dict[str, Record] = {}
        self._by_owner: dict[str | None, list[Record]] = {}
        self._by_fingerprint: dict[str | None, list[Record]] = {}
        self.layers: tuple[Layer, ...] = ()  # newest first, each deeper than the one before

    def wants(self, wanted: Wanted, record: Record) -> bool:
        """Whether this record is to be kept."""
        return (self._owner_of(record) in wanted.owners or record.id in wanted.ids
                or fingerprint_of(record) in wanted.fingerprints)

    def take(self, layer: Layer, records: Iterable[Record], most: int) -> None:
        """Put a listing on top: within its reach it alone counts, what it did not show is gone.

        More than `most` records are not kept, but for the wanted ones.
        """
        known: dict[str, Record] = {id_: old for id_, old in self._records.items() if not layer.reaches(old.created_at)}
        known.update((record.id, record) for record in records)
        self.layers = (layer, *(old for old in self.layers if not layer.reaches(old.back_to)))
        self._records = known
        if len(known) > most or not layer.everything:
            self._keep_only(layer.wanted)
        self._index()

    def _keep_only(self, wanted: Wanted) -> None:
        kept: dict[str, Record] = {id_: record for id_, record in self._records.items() if self.wants(wanted, record)}
        self._records = kept
        self.layers = tuple(replace(layer, everything=False) for layer in self.layers)

    def covers(self, layer: Layer, interest: Interest) -> bool:
        """Whether a listing says all there is about this interest: nothing of it was thrown away or came later."""
        wanted = layer.wanted
        marked = interest.fingerprint is None or interest.fingerprint in wanted.fingerprints
        owned = layer.everything or interest.owner in wanted.owners
        return marked and owned and all(id_ in wanted.ids or id_ in self._records for id_ in interest.ids)

    def _index(self) -> None:
        self._by_owner, self._by_fingerprint = defaultdict(list), defaultdict(list)
        for record in self._records.values():
            self._by_owner[self._owner_of(record)].append(record)
            self._by_fingerprint[fingerprint_of(record)].append(record)

    def layer_for(self, interest: Interest, back_to: datetime) -> Layer | None:
        """The newest listing that says all about this interest, down to `back_to`."""
        able = (layer for layer in self.layers if layer.reaches(back_to) and self.covers(layer, interest))
        return next(able, None)

    def records_of(self, interest: Interest) -> tuple[Record, ...]:
        """Its records, oldest first, then by id."""
        found = {record.id: record for record in self._by_owner.get(interest.owner, ())}
        found |= {id_: self._records[id_] for id_ in interest.ids if id_ in self._records}
        if interest.fingerprint:
            found |= {record.id: record for record in self._by_fingerprint.get(interest.fingerprint, ())}
        return tuple(sorted(found.values(), key=lambda record: (record.created_at, record.id)))

    def depth_of(self, interest: Interest) -> datetime:
        """How far back the remotes on its record lie; as far as it may go at all, while one of them was never seen."""
        seen = [self._records[id_].created_at for id_ in interest.ids if id_ in self._records]
        if not seen or len(seen) < len(interest.ids) or UNDATED in seen:
            return interest.back_to
        return min(seen)


def fingerprint_of(record: BuildRecord | DeploymentRecord) -> str | None:
    """A deployment's configuration fingerprint, where one was computed; builds have none."""
    return record.fingerprint if isinstance(record, DeploymentRecord) else None
