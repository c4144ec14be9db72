"""Holders: the other resources of a cluster that hold or claim a remote object, and which of them stand in the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Holder:
    """Another resource that holds a remote object, or claims it: is about to take it over (`holds` is False).

    `id`: the first of the objects that its status names; None where only the token of the object names it.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    created_at: datetime
    holds: bool
    id: str | None = None

    @property
    def rank(self) -> tuple[datetime, str]:
        """The order among those who claim one object: the oldest resource comes first, then the lowest uid."""
        return self.created_at, self.uid

    @property
    def text(self) -> str:
        """Kind, namespace and name, for messages."""
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class NamedObjects:
    """What one other resource says of remote objects: `owner` is the owner that its own tokens name."""

    uid: str
    owner: str
    recorded: frozenset[str]
    claimed: str | None
    written_for: str | None

    @property
    def named(self) -> frozenset[str]:
        """The ids that are recorded or claimed."""
        return self.recorded if self.claimed is None else self.recorded | {self.claimed}

    def holds(self, ids: frozenset[str], owner: str | None) -> bool:
        """Whether it holds one of these objects, whose token names `owner`.

        A status that was written for another uid came from a backup: the resource holds nothing before its own claim.
        """
        if owner is not None and owner == self.owner:
            return True
        is_its_own = self.written_for == self.uid or (self.written_for is None and owner is None)
        return is_its_own and not self.recorded.isdisjoint(ids)

    def first_of(self, ids: frozenset[str]) -> str | None:
        """The first of these objects that its status names; None without any."""
        return min(self.named & ids, default=None)

    def claims(self, ids: frozenset[str]) -> bool:
        """Whether it is about to take one of these objects over.

        A claim names one object, and counts for all that the status names: they are taken over together.
        """
        return self.claimed is not None and not self.named.isdisjoint(ids)


def named_objects(uid: str, owner: str, status: object, id_member: str) -> NamedObjects:
    """What a raw status says of remote objects; members of another type count as unset.

    `owner`: the owner that the tokens of this uid name. `id_member`: the member that holds the recorded id.
    """
    return NamedObjects(uid, owner, recorded_ids(status, id_member), _text(adoption_in(status).get("claimed")),
                        _text(_memory_in(status).get("writtenFor")))


def recorded_ids(status: object, id_member: str) -> frozenset[str]:
    """The remote ids in a raw status: the recorded one, the predecessor's and the condemned ones."""
    kept = _memory_in(status)
    condemned = kept.get("condemned")
    ids = [_members(status).get(id_member), kept.get("predecessorID"),
           *(condemned if isinstance(condemned, list) else ())]
    return frozenset(one for one in ids if isinstance(one, str))


def adoption_in(status: object) -> Mapping[str, object]:
    """What a raw status says of a take-over; empty if nothing was taken over."""
    return _members(_memory_in(status).get("adoption"))


def _memory_in(status: object) -> Mapping[str, object]:
    """The operator's memory in a raw status."""
    return _members(_members(status).get("operator"))


def _members(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def in_the_way(holders: Iterable[Holder], rank: tuple[datetime, str]) -> Holder | None:
    """The resource that rules out a take-over by the resource of this rank: a holder, else an older claimant."""
    found = sorted(holders, key=lambda one: (not one.holds, one.rank))
    return next((one for one in found if one.holds or one.rank < rank), None)
