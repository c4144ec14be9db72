"""ObservedRecords: what one pass has seen of its resource's remote records, by one listing and by GETs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

from agentex_operator.core.remote import Listing, Record_co

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class ObservedRecords(Generic[Record_co]):
    """A listing, and the GETs of ids that the listing did not show; a GET is newer than the listing before it."""

    listing: Listing[Record_co] | None = None
    confirmed: tuple[tuple[str, Record_co | None], ...] = ()

    @property
    def records(self) -> tuple[Record_co, ...]:
        """All our records that were seen, each once."""
        asked = {id_ for id_, _ in self.confirmed}
        listed = () if self.listing is None else self.listing.records
        return tuple(record for record in listed if record.id not in asked) + self._found

    @property
    def _found(self) -> tuple[Record_co, ...]:
        return tuple(found for _, found in self.confirmed if found is not None)

    def find(self, id_: str | None) -> Record_co | None:
        """The record with this id; None if it was not seen."""
        return next((record for record in self.records if record.id == id_), None)

    def absent(self, id_: str) -> bool:
        """Whether a GET of this id was answered with 404."""
        return (id_, None) in self.confirmed

    def unseen(self, ids: Iterable[str]) -> str | None:
        """P8: the first of these ids that neither the listing nor a GET has shown."""
        shown = {record.id for record in self.records} | {id_ for id_, _ in self.confirmed}
        return next((id_ for id_ in sorted(ids) if id_ not in shown), None)

    def confirm(self, id_: str, found: Record_co | None) -> ObservedRecords[Record_co]:
        """With the answer to a GET of this id."""
        earlier = tuple(one for one in self.confirmed if one[0] != id_)
        return ObservedRecords(self.listing, earlier + ((id_, found),))  # noqa: RUF005 - mypy loses a starred one's type
