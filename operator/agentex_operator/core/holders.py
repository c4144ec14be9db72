"""Holders: the other resources of a cluster that hold or claim a remote object, and which of them stand in the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
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


def recorded_ids(status: Mapping[str, object], members: Iterable[str]) -> frozenset[str]:
    """The remote ids in a raw status: under these members, and the condemned ones. Other types are ignored."""
    condemned = status.get("condemned")
    values = [status.get(member) for member in members] + list(condemned if isinstance(condemned, list) else [])
    return frozenset(value for value in values if isinstance(value, str))


def in_the_way(holders: Iterable[Holder], rank: tuple[datetime, str]) -> Holder | None:
    """The resource that rules out a take-over by the resource of this rank: a holder, else an older claimant."""
    found = sorted(holders, key=lambda one: (not one.holds, one.rank))
    return next((one for one in found if one.holds or one.rank < rank), None)
