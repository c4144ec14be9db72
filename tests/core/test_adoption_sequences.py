"""Random sequences over three resources that name each other's remote objects: each object has one holder at most.

Resources are created, adopt, come back from backups with another uid, move to another cluster with all others, and go:
by a deletion, an Orphan deletion, or by force. Their passes interleave call by call, crash between two calls, and lose
answers; remote objects vanish. Then there is peace, and everything comes to rest.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.core.core_fixture import CoreFixture
from tests.core.test_adoption import DONE, FIELD, MAKERS

from agentex_operator.core import calls, holders, ownership
from agentex_operator.core.errors import Conflict, Unavailable
from agentex_operator.core.protocol import adoption
from agentex_operator.core.remote import RemoteState
from agentex_operator.reconcile.holders import Seeker, found_in

NAMES = ("one", "two", "three")
FINALIZER = "agentex.scale.com/remote"
WRITES = (calls.AddFinalizer, calls.RemoveFinalizer, calls.SaveStatus, calls.WriteIntent)
LIVING = (RemoteState.WAITING, RemoteState.RUNNING, RemoteState.SUCCEEDED, RemoteState.FAILED)
ROUNDS, QUIET = 60, 5   # passes of each resource until it must rest; how many of them show that it does

names, which = st.sampled_from(NAMES), st.integers(0, 9)


@dataclass
class Remote:
    """The remote account that all resources share."""

    records: dict[str, Any] = field(default_factory=dict)
    agents: dict[str, str] = field(default_factory=dict)
    vanished: set[str] = field(default_factory=set)     # a GET answers 404
    abandoned: set[str] = field(default_factory=set)    # a resource went and left them behind
    abandoners: set[str] = field(default_factory=set)   # the owners that left theirs behind


@dataclass
class Resource(CoreFixture):
    """One resource in its cluster. `seen`: the other resources as the cache had them when the pass began."""

    remote: Remote = field(default_factory=Remote)
    cluster: str = ""
    seen: list[dict[str, Any]] = field(default_factory=list)
    removing: Callable[[str], None] = lambda _id: None

    @property
    def uid(self) -> str:
        return str(self.there["metadata"]["uid"])

    @property
    def owner(self) -> str:
        """The owner that its tokens name."""
        return self.seeker().owner_of(self.uid)

    @property
    def named(self) -> set[str]:
        """The ids that its status names."""
        ids = {self.status.get("buildID" if self.there["kind"] == "AgentBuild" else "deploymentID"),
               self.memory.get("predecessorID"), *self.memory.get("condemned", ())}
        return {id_ for id_ in ids if id_}

    @property
    def held(self) -> set[str]:
        """The ids that it holds; a status of a backup holds nothing."""
        return self.named if self.memory.get("writtenFor") == self.uid else set()

    def begin(self) -> Any:
        core, observed = super().begin()
        return core, replace(observed, cluster=self.cluster)

    def seeker(self) -> Seeker:
        of_build = self.there["kind"] == "AgentBuild"
        owner_of = ownership.owner_of if of_build else ownership.deployment_owner_of
        return replace(super().seeker(), owner_of=lambda uid: owner_of(self.cluster, uid))

    @property
    def outside(self) -> dict[type, Callable[[Any], Any]]:
        return super().outside | {
            calls.Confirm: lambda call: self.shown(call.id), calls.ReadCandidate: lambda call: self.shown(call.id),
            calls.FindHolders: lambda call: found_in(self.others if call.live else self.seen, self.seeker(), call)}

    def shown(self, id_: str) -> Any:
        """What a GET answers."""
        return None if id_ in self.remote.vanished else self.records.get(id_)

    def is_ours(self, record: Any, call: Any) -> bool:
        return record.id not in self.remote.vanished and super().is_ours(record, call)

    def remove(self, id_: str) -> None:
        self.removing(id_)
        if id_ not in self.remote.vanished:
            super().remove(id_)


class Sequences(RuleBasedStateMachine):
    """The acts of users, the passes, and what goes wrong."""

    sort = "preview"

    def __init__(self) -> None:
        super().__init__()
        first = MAKERS[self.sort]()
        self.wish, self.now = first.there, first.now
        self.wish["spec"].get("preview", {})["ttl"] = "720h"  # no sequence lasts so long
        self.remote = Remote(dict(first.records))
        self.given = set(first.records)
        self.there: dict[str, Resource] = {}
        self.passes: dict[str, tuple[Any, str]] = {}
        self.backups: list[dict[str, Any]] = []
        self.numbers, self.cluster = count(1), "cluster-1"

    @initialize(gone=st.booleans())
    def begin(self, gone: bool) -> None:
        """A resource whose remote object serves, and its backup; it may have gone since."""
        self._create("one", self.wish["spec"], None)
        self.work("one")
        self.finish(0)
        self.work("one")
        self.back_up("one")
        if gone:
            self.lose("one")

    # --- what users do --------------------------------------------------------------------------------------------

    @rule(name=names)
    def create(self, name: str) -> None:
        self._create(name, self.wish["spec"], None)

    @rule(name=names, which=which)
    def adopt(self, name: str, which: int) -> None:
        """Create a resource that names a remote object, or one that is not there."""
        ids = [*sorted(set(self.remote.records) - self.given), "nobody"]
        self._create(name, self.wish["spec"] | {"adopt": {FIELD[self.sort]: ids[which % len(ids)]}}, None)

    @rule(name=names)
    def stop_adopting(self, name: str) -> None:
        if name in self.there:
            spec = self.there[name].there["spec"]
            if spec.pop("adopt", None) is not None:
                self.there[name].edit()

    @rule(name=names)
    def back_up(self, name: str) -> None:
        if name in self.there and "deletionTimestamp" not in self.there[name].there["metadata"]:
            self.backups.append(copy.deepcopy(self.there[name].there))

    @precondition(lambda self: self.backups)
    @rule(name=names, which=which, status=st.booleans())
    def restore(self, name: str, which: int, status: bool) -> None:
        """Create a resource from a backup of any resource, with or without its status."""
        backup = self.backups[which % len(self.backups)]
        self._create(name, backup["spec"], backup["status"] if status else None)

    @rule(name=names, orphan=st.booleans())
    def delete(self, name: str, orphan: bool) -> None:
        if name in self.there:
            if orphan:
                self.there[name].edit(deletionPolicy="Orphan")
                self._abandon(name)
            if "deletionTimestamp" not in self.there[name].there["metadata"]:
                self.there[name].now = self.now
                self.there[name].delete()
            self._forget(name)

    @rule(name=names)
    def lose(self, name: str) -> None:
        """Somebody removes the finalizer and the resource."""
        if name in self.there:
            self._abandon(name)
            self.there.pop(name).obj = None
            self.passes.pop(name, None)

    @rule(statuses=st.booleans())
    def move(self, statuses: bool) -> None:
        """Move all resources to another cluster: other uids there; with their statuses, or without."""
        before = {name: one.there for name, one in self.there.items()}
        self.cluster = f"cluster-{next(self.numbers)}"
        for name, obj in before.items():
            self.lose(name)
            if "deletionTimestamp" not in obj["metadata"]:
                self._create(name, obj["spec"], obj["status"] if statuses else None)

    # --- what happens ---------------------------------------------------------------------------------------------

    @rule(name=names, times=st.integers(1, 12))
    def step(self, name: str, times: int) -> None:
        """Some calls of a pass; its rest is made later."""
        for _ in range(times):
            if not self._step(name):
                break

    @rule(name=names)
    def work(self, name: str) -> None:
        """The rest of a pass."""
        while self._step(name):
            pass

    @rule(name=names, effect=st.booleans())
    def lose_an_answer(self, name: str, effect: bool) -> None:
        """The next call of the pass has no answer; it takes effect, or not."""
        self._step(name, lambda perform: (perform() if effect else None, Unavailable("reset"))[1])

    @rule(name=names)
    def crash(self, name: str) -> None:
        """The operator dies between two calls of the pass."""
        self.passes.pop(name, None)

    @rule(seconds=st.sampled_from((1, 10, 120)))
    def elapse(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(which=which)
    def finish(self, which: int) -> None:
        """A remote object gets where it was going."""
        for id_ in self._chosen(which, RemoteState.WAITING):
            self._becomes(id_)

    @rule(which=which, missing=st.booleans())
    def vanish(self, which: int, missing: bool) -> None:
        """Another client of the remote API removes an object; some remotes answer 404 then."""
        for id_ in self._chosen(which, *LIVING):
            ended = RemoteState.CANCELLED if self.sort == "build" else RemoteState.DELETED
            self.remote.records[id_] = replace(self.remote.records[id_], raw_status="deleted", state=ended)
            self.remote.vanished |= {id_} if missing else set()

    # --- what holds -----------------------------------------------------------------------------------------------

    @invariant()
    def each_object_has_one_holder_at_most(self) -> None:
        seen: dict[str, str] = {}
        for name, one in self.there.items():
            for id_ in one.held:
                assert id_ not in seen, f"{id_} is held by {seen[id_]} and {name}"
                seen[id_] = name

    def teardown(self) -> None:
        """Peace: everything comes to rest; then everything is deleted, and leaves only what was left behind."""
        self._rest()
        self._check_at_rest()
        for name in list(self.there):
            self.delete(name, orphan=False)
        self._rest()
        assert not self.there, f"is still there: {self.there}"
        if self.sort != "build":  # a build that has ended stays
            left = {id_ for id_ in self._living() - self.remote.abandoned if not self._is_abandoned(id_)}
            assert not left, f"{left} outlived everything"

    def _check_at_rest(self) -> None:
        holder = {id_: name for name, one in self.there.items() for id_ in one.held}
        for one in self.there.values():
            said = {it["type"]: it for it in one.status["conditions"]}
            assert "Stalled" in said or said["Ready"]["status"] == "True", said
            for id_ in self._wanted(one) & holder.keys() & self._living():
                assert said["Stalled"]["reason"] == "AdoptionTargetHeld", said
                assert f"team/{holder[id_]} holds" in said["Stalled"]["message"]

    def _is_abandoned(self, id_: str) -> bool:
        token = self.remote.records[id_].token or ""
        return any(token.startswith(f"{owner}/") for owner in self.remote.abandoners)

    def _living(self) -> set[str]:
        return {id_ for id_, one in self.remote.records.items() if one.state in LIVING} - self.given

    def _wanted(self, one: Resource) -> set[str]:
        """The objects that it names to take over, and has not."""
        if one.memory.get("writtenFor") not in (None, one.uid):
            return one.named
        adopted = one.there["spec"].get("adopt", {}).get(FIELD[self.sort])
        has_created = one.status.get("attempt") or one.memory.get("attempt")
        return {adopted} if adopted and not has_created and not one.held else set()

    # --- how ------------------------------------------------------------------------------------------------------

    def _create(self, name: str, spec: dict[str, Any], status: dict[str, Any] | None) -> None:
        if name in self.there:
            return
        metadata = self.wish["metadata"] | {
            "name": name, "uid": f"uid-{next(self.numbers)}", "creationTimestamp": f"{self.now:%Y-%m-%dT%H:%M:%SZ}"}
        obj = {**self.wish, "metadata": metadata, "spec": copy.deepcopy(spec),
               "status": copy.deepcopy(status) if status else {"observedGeneration": -1}}
        self.there[name] = Resource(obj, records=self.remote.records, agents=self.remote.agents, remote=self.remote,
                                    cluster=self.cluster, removing=lambda id_: self._removing(name, id_))

    def _removing(self, name: str, id_: str) -> None:
        """The resource is about to have this object removed: it must be its own, and nobody else's."""
        one = self.there[name]
        assert not [it for it in self._others(name) if id_ in it.held], f"{name} removes {id_}, which another holds"
        taken_over = {it["id"] for it in (one.memory.get("adoption") or {}).get("objects", ())}
        record = self.remote.records[id_]
        _, observed = one.begin()
        assert id_ in taken_over or observed.owner_named(record) == one.owner, f"{name} removes {id_}, not its own"

    def _others(self, name: str) -> Iterator[Resource]:
        yield from (one for other, one in self.there.items() if other != name)

    def _abandon(self, name: str) -> None:
        """What it holds, and whatever its token names, now or later, may stay."""
        one = self.there[name]
        self.remote.abandoned |= one.named
        self.remote.abandoners.add(one.owner)

    def _forget(self, name: str) -> None:
        if self.there[name].obj is None:
            del self.there[name]
            self.passes.pop(name, None)

    def _chosen(self, which: int, *states: RemoteState) -> list[str]:
        able = sorted(id_ for id_, one in self.remote.records.items() if one.state in states and id_ not in self.given)
        return [able[which % len(able)]] if able else []

    def _becomes(self, id_: str) -> None:
        word, state = DONE[self.sort]
        self.remote.records[id_] = replace(self.remote.records[id_], raw_status=word, state=state)

    def _step(self, name: str, answer: Callable[[Callable[[], Any]], Any] | None = None) -> bool:
        """The next call of the resource's pass; False where the pass has ended, or there is no resource."""
        if (one := self.there.get(name)) is None:
            return False
        one.now, one.others = self.now, [it.there for it in self._others(name)]
        if name not in self.passes:
            one.seen = copy.deepcopy(one.others)
        core, begun = one.begin()
        observed, version = self.passes.get(name) or (begun, self._version(one))
        planned = core.decide(observed, self.now)
        if planned.call is None:
            self.passes.pop(name, None)
            return False
        stale = isinstance(planned.call, WRITES) and version != self._version(one)
        outcome = Conflict("changed") if stale else self._answered(one, planned.call, answer)
        if isinstance(planned.call, WRITES) and not stale and not isinstance(outcome, Unavailable) and one.obj:
            version = self._version(one)
        self.passes[name] = core.settle(observed, planned.call, outcome, self.now), version
        self._forget(name)
        return name in self.there

    def _answered(self, one: Resource, call: Any, answer: Callable[[Callable[[], Any]], Any] | None) -> Any:
        return answer(lambda: one.perform(call)) if answer else one.perform(call)

    def _version(self, one: Resource) -> str:
        """What a conditional write compares; the user's edits count too."""
        metadata = one.there["metadata"]
        return f"{metadata['resourceVersion']} {metadata['generation']} {metadata.get('deletionTimestamp')}"

    def _rest(self) -> None:
        """Whole passes of each, until nothing is written any more."""
        quiet = 0
        for _ in range(ROUNDS):
            for id_ in sorted(set(self.remote.records) - self.given):
                if self.remote.records[id_].state is RemoteState.WAITING:
                    self._becomes(id_)
            before = copy.deepcopy({name: one.there for name, one in self.there.items()})
            for name in NAMES:
                self.work(name)
                self.each_object_has_one_holder_at_most()
            quiet = quiet + 1 if before == {name: one.there for name, one in self.there.items()} else 0
            self.now += timedelta(minutes=1)
        assert quiet >= QUIET, "it never rests"


class Builds(Sequences):
    """The same with builds."""

    sort = "build"


SEQUENCES = pytest.mark.parametrize("machine", [Sequences, Builds], ids=["preview", "build"])


def played(machine: type[Sequences], examples: int, steps: int, **how: Any) -> None:
    """So many sequences of at most so many steps. Raises AssertionError at a broken promise."""
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=steps,
                                                         deadline=None, **how))


@SEQUENCES
def test_each_object_has_one_holder_whatever_happens_to_three_resources(machine: type[Sequences]) -> None:
    played(machine, 20, 20, derandomize=True, database=None)


@pytest.mark.exhaustive
@SEQUENCES
def test_each_object_has_one_holder_in_many_long_sequences(machine: type[Sequences]) -> None:
    played(machine, 300, 50)


def test_the_sequences_notice_a_take_over_without_a_look_at_the_holders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holders, "in_the_way", lambda _holders, _rank: None)
    monkeypatch.setattr(adoption, "wait_for_younger_claims", lambda _observed: None)

    with pytest.raises(AssertionError, match=r"is held by|removes"):
        played(Sequences, 100, 30, phases=[Phase.generate], database=None)
