"""Records in the order they were created, with their JSON kept ready: lists cost a join, not a rendering."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar


class Record(Protocol):
    """What a shelf needs to know of a record."""

    @property
    def id(self) -> str:
        """Unique on the shelf."""

    @property
    def created_at(self) -> datetime:
        """For lists that lag behind."""

    @property
    def archived(self) -> bool:
        """Left out of lists."""


R = TypeVar("R", bound=Record)


class Shelf(Generic[R]):
    """The records of one kind in one account. `order` holds ids, oldest first, and only ever grows."""

    def __init__(self, wire: Callable[[R], dict[str, Any]]) -> None:
        self._wire = wire
        self._records: dict[str, R] = {}
        self._encoded: dict[str, bytes] = {}
        self._position: dict[str, int] = {}
        self.order: list[str] = []

    def put(self, record: R) -> R:
        """Add a record, or replace the one with its id."""
        if record.id not in self._position:
            self._position[record.id] = len(self.order)
            self.order.append(record.id)
        self._records[record.id] = record
        self._encoded.pop(record.id, None)
        return record

    def get(self, record_id: str) -> R | None:
        """The record, None when it is not here."""
        return self._records.get(record_id)

    def drop(self, record_id: str) -> None:
        """Remove a record; its place in the order stays, so cursors that name it still work."""
        self._records.pop(record_id, None)
        self._encoded.pop(record_id, None)

    def position(self, record_id: str) -> int | None:
        """Index into `order`."""
        return self._position.get(record_id)

    def encoded(self, record_id: str) -> bytes:
        """The record as the API prints it."""
        if record_id not in self._encoded:
            self._encoded[record_id] = json.dumps(self._wire(self._records[record_id])).encode()
        return self._encoded[record_id]

    def __iter__(self) -> Iterator[R]:
        """Records still here, oldest first."""
        return (self._records[record_id] for record_id in self.order if record_id in self._records)


class Shelves(Generic[R]):
    """One shelf per account, so that an id of another account is simply not there."""

    def __init__(self, wire: Callable[[R], dict[str, Any]]) -> None:
        self._wire = wire
        self._by_account: dict[str, Shelf[R]] = {}

    def of(self, account: str) -> Shelf[R]:
        """The account's shelf, empty at first."""
        return self._by_account.setdefault(account, Shelf(self._wire))

    def anywhere(self, record_id: str) -> R | None:
        """The record in whichever account has it; for actors, never for the API."""
        return next((record for shelf in self._by_account.values() if (record := shelf.get(record_id))), None)

    def __iter__(self) -> Iterator[R]:
        """Every record of every account."""
        return (record for shelf in self._by_account.values() for record in shelf)
