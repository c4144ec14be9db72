"""What the judge goes by: the simulator's ledger, every version of every resource, and what a test explains."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentex_testkit.api_server import remembered
from agentex_testkit.ledger import REMOTE, Entry, Tracked, is_alive, owner_in

Object = dict[str, Any]
ATTEMPT = re.compile(r"^[0-9a-f]{12}-[0-9a-f]{8}(\d+)$|\(agentex\.scale\.com/owner [0-9a-f]{8}\.(\d+)\)$|/(\d+)$")
WISH = re.compile(r"^([0-9a-f]{12})-[0-9a-f]{8}\d+$|^# agentex\.scale\.com/owner: \S+/([0-9a-f]{12})/\d+$")
ID = {"AgentBuild": "buildID", "AgentDeployment": "deploymentID"}


@dataclass(frozen=True)
class Case:
    """One resource: every version of it, and every remote mutation that concerns it, oldest first.

    `inherited`: the ids of objects of other owners that it took over. `given_away`: the ids of its objects that another
    resource has taken over since, and that this one does not answer for any more.
    """

    tracked: Tracked
    versions: Sequence[Object]
    entries: Sequence[Entry]
    ambiguous: int = 0                  # creates of it that were sent, and whose answer the operator never had
    inherited: frozenset[str] = frozenset()
    given_away: frozenset[str] = frozenset()

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
        """Its creates; what it inherited was created by another resource."""
        return [one for one in self.entries if one["verb"] == "create" and one["id"] not in self.inherited]

    @property
    def removals(self) -> list[Entry]:
        """The removals that the operator asked for; without those of what was given away."""
        asked = (one for one in self.entries if one["verb"] in ("delete", "cancel") and one["cause"] == "api")
        return [one for one in asked if one["id"] not in self.given_away]

    @property
    def statuses(self) -> list[Object]:
        """Its statuses, oldest first."""
        return [one.get("status") or {} for one in self.versions]

    @property
    def alive(self) -> list[str]:
        """The ids that are alive at the end; without those that were given away."""
        return [id_ for id_, one in self.last.items() if is_alive(one) and id_ not in self.given_away]

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
        kept = remembered(status)
        removal = (kept.get("removal") or {}).get("id")
        return {self.id_in(status), kept.get("predecessorID"), removal, *kept.get("condemned", ())} - {None}


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
        own = {it["id"] for it in self.ledger if it["kind"] in REMOTE.values() and owner_in(it) == owner}
        inherited = {id_ for id_ in one.inherits | one.may_inherit if self.has_taken_over(one, id_)} - own
        given_away = {id_ for id_ in own | inherited if any(self.has_taken_over(it, id_) for it in self._after(one))}
        entries = [it for it in self.ledger if it["id"] in own | inherited]
        return Case(one, self.versions.get(one.uid, ()), entries, self.ambiguous, frozenset(inherited),
                    frozenset(given_away))

    def _after(self, one: Tracked) -> Sequence[Tracked]:
        """The resources that were created after this one."""
        at = next((at for at, it in enumerate(self.known) if it.uid == one.uid), len(self.known))
        return self.known[at + 1:]

    def has_taken_over(self, one: Tracked, id_: str) -> bool:
        """Whether a resource is the heir of a remote object: by what the test explains, else by its statuses."""
        held = (id_ in held_in(one.kind, version) for version in self.versions.get(one.uid, ()))
        return id_ in one.inherits or (id_ in one.may_inherit and any(held))

    def responsible(self, remote: Entry) -> Tracked | None:
        """The resource that answers for a remote object: the last heir, else the resource that its token names."""
        owner, id_ = owner_in(remote), remote["id"]
        heirs = [one for one in self.known if self.has_taken_over(one, id_)]
        of_the_token = (one for one in self.known if one.owner(self.cluster) == owner)
        return heirs[-1] if heirs else next(of_the_token, None)

    def may_outlive_all(self, remote: Entry) -> bool:
        """Whether a remote object may be alive when every resource is gone: it is not ours, or was left behind."""
        one = self.responsible(remote)
        return owner_in(remote) is None if one is None else one.orphan

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


def held_in(kind: str, version: Object) -> set[str]:
    """The remote ids that a version of a resource holds: its own, its predecessor, and those that it condemned.

    A status that was written for another uid came from a backup, and holds nothing.
    """
    status = version.get("status") or {}
    kept = remembered(status)
    if kind not in ID or kept.get("writtenFor") != version["metadata"]["uid"]:
        return set()
    return {id_ for id_ in (status.get(ID[kind]), kept.get("predecessorID"), *kept.get("condemned", ())) if id_}


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
