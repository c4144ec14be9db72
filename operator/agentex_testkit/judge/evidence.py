"""What the judge goes by: the simulator's ledger, every version of every resource, and what a test explains."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentex_testkit.ledger import REMOTE, Entry, Tracked, is_alive, owner_in

Object = dict[str, Any]
ATTEMPT = re.compile(r"^[0-9a-f]{12}-[0-9a-f]{8}(\d+)$|\(agentex\.scale\.com/owner [0-9a-f]{8}\.(\d+)\)$|/(\d+)$")
WISH = re.compile(r"^([0-9a-f]{12})-[0-9a-f]{8}\d+$|^# agentex\.scale\.com/owner: \S+/([0-9a-f]{12})/\d+$")
ID = {"AgentBuild": "buildID", "AgentDeployment": "deploymentID"}


@dataclass(frozen=True)
class Case:
    """One resource: every version of it, and every remote mutation that concerns it, oldest first."""

    tracked: Tracked
    versions: Sequence[Object]
    entries: Sequence[Entry]
    ambiguous: int = 0                  # creates of it that were sent, and whose answer the operator never had

    @property
    def unanswered(self) -> int:
        """How many creates may have taken effect without an answer."""
        return self.ambiguous + self.tracked.unanswered

    @property
    def title(self) -> str:
        """How a finding names it."""
        return f"{self.tracked.kind} {self.tracked.name}"

    @property
    def creates(self) -> list[Entry]:
        """Its creates."""
        return [one for one in self.entries if one["verb"] == "create"]

    @property
    def removals(self) -> list[Entry]:
        """The removals that the operator asked for."""
        return [one for one in self.entries if one["verb"] in ("delete", "cancel") and one["cause"] == "api"]

    @property
    def statuses(self) -> list[Object]:
        """Its statuses, oldest first."""
        return [one.get("status") or {} for one in self.versions]

    @property
    def alive(self) -> list[str]:
        """The ids that are alive at the end."""
        return [id_ for id_, one in self.last.items() if is_alive(one)]

    @property
    def last(self) -> dict[str, Entry]:
        """The last entry of the ledger for each id."""
        return {one["id"]: one for one in self.entries}

    def id_in(self, status: Object) -> str | None:
        """The remote id on record in one of its statuses."""
        found: str | None = status.get(ID[self.tracked.kind])
        return found

    def ids_in(self, status: Object) -> set[str | None]:
        """Every remote id that this status names: its own, its predecessor, its removals."""
        removal = (status.get("removal") or {}).get("id")
        return {self.id_in(status), status.get("predecessorID"), removal, *status.get("condemned", ())} - {None}


@dataclass(frozen=True)
class Evidence:
    """Everything that was recorded in one world."""

    cluster: str
    ledger: Sequence[Entry]
    known: Sequence[Tracked]
    versions: Mapping[str, Sequence[Object]] = field(default_factory=dict)
    ambiguous: int = 0

    def case(self, one: Tracked) -> Case:
        """What concerns one resource."""
        owner = one.owner(self.cluster)
        ids = {it["id"] for it in self.ledger if it["kind"] in REMOTE.values() and owner_in(it) == owner}
        entries = [it for it in self.ledger if it["id"] in ids]
        return Case(one, self.versions.get(one.uid, ()), entries, self.ambiguous)

    @property
    def by_us(self) -> list[Entry]:
        """The mutations of builds and deployments that were made through the API."""
        return [it for it in self.ledger if it["cause"] == "api" and it["kind"] in REMOTE.values()]

    @staticmethod
    def owner_of(entry: Entry) -> str | None:
        """The token of the owner; None where it carries none."""
        return owner_in(entry)

    @property
    def owners(self) -> set[str]:
        """The tokens of all resources."""
        return {one.owner(self.cluster) for one in self.known}


def carriers(entry: Entry) -> tuple[str, ...]:
    """The fields of a remote record that may carry our token."""
    if entry["kind"] == "deployment":
        return (entry["manifest_first_line"],)
    return (entry.get("source_ref") or "", entry["image_tag"])


def attempt_in(entry: Entry) -> int | None:
    """The attempt of its owner that made the record."""
    found = next((it for text in carriers(entry) if (it := ATTEMPT.search(text))), None)
    return int(next(filter(None, found.groups()))) if found else None


def wish_in(entry: Entry) -> str | None:
    """The digest of the inputs that the record was made from; None where the token does not say."""
    found = next((it for text in carriers(entry) if (it := WISH.match(text))), None)
    return next(filter(None, found.groups())) if found else None
