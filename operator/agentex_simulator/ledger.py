"""The append-only history: every committed mutation (Ledger) and every call (Journal)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from agentex_simulator.clock import stamp

Entry = dict[str, Any]


@dataclass(frozen=True)
class Cause:
    """Who made a mutation happen; `call` is the seq in the journal when it was an API call."""

    kind: Literal["api", "workflow", "sweep", "actor"]
    call: int | None = None


WORKFLOW = Cause("workflow")
SWEEP = Cause("sweep")
ACTOR = Cause("actor")


class History:
    """Entries, oldest first; `seq` starts at 1 and grows by one."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def since(self, seq: int = 0) -> list[Entry]:
        """Copies of the entries with a greater seq."""
        return [dict(entry) for entry in self._entries[max(0, seq) :]]


class Ledger(History):
    """Committed mutations. Entries are never changed or removed.

    An entry: {seq, time, cause, call, verb, kind, id, account, agent, status, ...fields that can bear a token}.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__()
        self._now = now

    def write(self, cause: Cause, verb: str, facts: Entry) -> None:
        """Append one mutation; `facts` says of which record."""
        head = {"seq": len(self._entries) + 1, "time": stamp(self._now()), "cause": cause.kind, "call": cause.call}
        self._entries.append({**head, "verb": verb, **facts})


class Journal(History):
    """Every call that reached the API, in order of arrival; status is None while a call is under way.

    An entry: {seq, time, method, path, template, query, account, bytes, status, faults, dropped, seconds, retry}.
    """

    def open(self, facts: Entry) -> Entry:
        """Append a call that has just arrived; the caller completes the entry it gets back."""
        entry = {"seq": len(self._entries) + 1, **facts, "status": None, "faults": [], "dropped": False}
        self._entries.append(entry)
        return entry
