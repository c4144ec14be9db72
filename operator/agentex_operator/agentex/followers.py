"""The followers of one inventory: the resources that are woken when their records change, and what they ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

from agentex_operator.agentex.name_index import NameIndex
from agentex_operator.agentex.watch_request import RecordFilter
from agentex_operator.core.remote import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentex_operator.agentex.listing_cache import LastSeen
    from agentex_operator.agentex.record_index import AttributedRecord
    from agentex_operator.agentex.watch_request import WatchRequest


@dataclass(slots=True)
class Follower(Generic[Record]):
    """A resource that is woken when its records change.

    `due` and `deep_due` are on the monotonic clock (seconds): no listing is due for it earlier; it is due later if its
    request was covered by a listing that began after `since`: after the newest one that had ended when it asked.
    `factor`, about 1: by how much its intervals are longer or shorter. `seen`: what it was last shown or woken for, or
    None.
    """

    uid: str
    request: WatchRequest
    due: float
    deep_due: float
    since: float
    factor: float
    seen: LastSeen[Record] | None


class Followers(Generic[Record]):
    """The followers, by uid and by the owner, the ids and the fingerprint that they ask for."""

    def __init__(self) -> None:
        self._followers: dict[str, Follower[Record]] = {}
        self._by_owner, self._by_id, self._by_fingerprint = NameIndex(), NameIndex(), NameIndex()
        self._filter: RecordFilter | None = None  # None: to be made anew

    def __getitem__(self, uid: str) -> Follower[Record]:
        """The follower of this uid. Raises KeyError."""
        return self._followers[uid]

    def get(self, uid: str) -> Follower[Record] | None:
        """The follower of this uid, or None."""
        return self._followers.get(uid)

    def put(self, follower: Follower[Record]) -> None:
        """Add the follower, in place of the former one of its uid."""
        self.remove(follower.uid)
        self._followers[follower.uid] = follower
        self._filter = None
        for index, name in self._names(follower.request):
            index.add(name, follower.uid)

    def remove(self, uid: str) -> None:
        """Remove the follower of this uid; does nothing if there is none."""
        if (follower := self._followers.pop(uid, None)) is not None:
            self._filter = None
            for index, name in self._names(follower.request):
                index.discard(name, uid)

    def of_owner(self, owner: str) -> list[Follower[Record]]:
        """The followers with this owner."""
        return [self._followers[uid] for uid in self._by_owner.of(owner)]

    def asking_for(self, records: Iterable[AttributedRecord[Record]]) -> set[str]:
        """The uids of those that ask for any of these records."""
        return {
            uid for one in records
            for uid in (*self._by_owner.of(one.owner), *self._by_id.of(one.record.id),
                        *self._by_fingerprint.of(one.fingerprint))
        }

    @property
    def record_filter(self) -> RecordFilter:
        """The filter that lets through what any of them asks for."""
        if self._filter is None:
            self._filter = RecordFilter(self._by_owner.names, self._by_id.names, self._by_fingerprint.names)
        return self._filter

    def _names(self, request: WatchRequest) -> list[tuple[NameIndex, str | None]]:
        return [(self._by_owner, request.owner), (self._by_fingerprint, request.fingerprint),
                *((self._by_id, id_) for id_ in request.ids)]
