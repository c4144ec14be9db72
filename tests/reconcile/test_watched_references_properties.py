"""Whatever happens to ConfigMaps, to their watch and to the right: who names what changed is woken, and none else."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agentex_operator.core.errors import Unauthorized, Unavailable
from agentex_operator.kube.kinds import CONFIG_MAP
from agentex_operator.kube.secret_reads import CheckedObjects
from agentex_operator.reconcile.engine import Engine
from agentex_operator.reconcile.views import Key, View
from agentex_operator.reconcile.watched_references import WatchedReferences
from agentex_operator.reconcile.work_queue import Outcome
from agentex_operator.settings import Settings
from agentex_testkit import samples
from agentex_testkit.clocks import HandClock, run_ready_tasks
from agentex_testkit.fake_cluster.cluster import FakeCluster
from agentex_testkit.fake_cluster.faults import Fault
from agentex_testkit.fake_cluster.store import Snapshot

TEAM = "team"
NAMES = ("a", "b", "c")
THINGS = ("x", "y", "z")
POLL = timedelta(seconds=60)
NEVER = timedelta(days=1000)  # a resource whose references are watched has no look of its own
HEALED = 1000.0               # seconds: longer than any delay of the watch, and a poll
THOROUGH = settings(deadline=None, max_examples=samples.examples(150), suppress_health_check=list(HealthCheck))

CHANGES = ("write", "write", "delete", "stranger", "point", "drop", "wait")
FAILURES = ("cut", "end", "forget", "unavailable", "deny", "allow", "restore", "write during a read", "long wait",
            "tell the last event again", "tell the first event again", "clear the namespace")
Step = tuple[str, str, str]
ANYTHING = st.lists(st.tuples(st.sampled_from(CHANGES + FAILURES), *(st.sampled_from(of) for of in (THINGS, NAMES))),
                    max_size=40)
HARMLESS = st.lists(st.tuples(st.sampled_from((*CHANGES, "end", "cut and heal", "long wait")),
                              *(st.sampled_from(of) for of in (THINGS, NAMES))), max_size=40)


class History:
    """Things that name ConfigMaps; a pass reads the one that it names."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.cluster = FakeCluster(self.clock)
        self.engine = Engine(self.clock, 2, lambda: 0.5)
        told = Settings(reference_resync=POLL)
        self.references = WatchedReferences(self.engine, self.cluster, told, self.clock, lambda: 0.5)
        self.objects = CheckedObjects(self.cluster, self.references.take_read, self.references.digests)
        self.engine.register("Thing", self.reconcile, references=self.named)
        self.read: dict[str, str | None] = {}       # the version that the newest pass of a thing has read
        self.passes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()      # how often the thing or the ConfigMap that it names changed
        self.things: dict[str, str] = {}            # the ConfigMap that each thing names
        self.versions = 0
        self.snapshot: Snapshot = self.cluster.store.snapshot()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self.references.watching():
            await self.engine.start()
            await run_ready_tasks()
            yield
            await self.engine.drain(timedelta(seconds=1))

    @staticmethod
    def named(view: View) -> frozenset[Key]:
        return frozenset({(CONFIG_MAP.kind, TEAM, view.obj["spec"]["name"])})

    async def reconcile(self, view: View) -> Outcome:
        watched = self.references.are_watched(view.uid)
        self.passes[view.uid] += 1
        self.read[view.uid] = await self.version_of(view.obj["spec"]["name"], known=view.uid == "y")
        return Outcome(requeue_after=NEVER if watched else POLL)

    async def version_of(self, name: str, *, known: bool) -> str | None:
        """The version of a ConfigMap; with `known` it is kept as a digest is, and the ConfigMap is not read again."""
        digests = self.objects.config_map_digests(TEAM, name) if known else None
        if digests and (version := digests.get("version")):
            return version
        found = await self.objects.config_map(TEAM, name)
        version = str(found["metadata"]["resourceVersion"]) if found else None
        if digests is not None and version is not None:
            digests["version"] = version
        return version

    def seen(self) -> dict[str, str | None]:
        return {thing: self.read[thing] for thing in self.things}

    def wanted(self) -> dict[str, str | None]:
        return {thing: self.stored(name) for thing, name in self.things.items()}

    def stored(self, name: str) -> str | None:
        found = self.cluster.read(CONFIG_MAP, TEAM, name)
        return found["metadata"]["resourceVersion"] if found else None

    async def step(self, what: str, thing: str, name: str) -> None:
        match what:
            case "write" | "delete":
                self.change(what, name)
            case "stranger":
                self.write(f"stranger-{name}")
            case "point":
                self.point(thing, name)
            case "drop":
                self.things.pop(thing, None)
                self.engine.forget(thing)
            case _:
                self.fail(what, name)
        await self.clock.advance({"wait": 0.3, "long wait": 150.0, "cut and heal": 3.0}.get(what, 0.0))

    def fail(self, what: str, name: str) -> None:
        faults = self.cluster.fake_api.faults
        self.disturb_the_watch(what)
        match what:
            case "unavailable":
                faults.add(Fault("watch", CONFIG_MAP, error=Unavailable("no answer"), times=2))
            case "deny":
                for verb in ("list", "watch"):
                    faults.add(Fault(verb, CONFIG_MAP, error=Unauthorized("no", status=403), times=float("inf")))
            case "allow":
                faults.clear()
            case "restore":
                self.restore()
            case "clear the namespace":
                for one in NAMES:
                    self.change("delete", one)
            case "write during a read":
                faults.add(Fault("get", CONFIG_MAP, act=lambda: self.change("write", name)))

    def disturb_the_watch(self, what: str) -> None:
        streams = self.cluster.streams
        match what:
            case "cut" | "cut and heal":
                streams.cut()
            case "end":
                streams.end()
            case "forget":
                streams.forget(self.cluster.store.version)
            case "tell the last event again":
                streams.tell_again(-1)
            case "tell the first event again":
                streams.tell_again(0)

    def change(self, what: str, name: str) -> None:
        before = self.stored(name)
        if what == "write":
            self.write(name)
        elif before is not None:
            self.cluster.remove(CONFIG_MAP, TEAM, name)
        if before != self.stored(name):
            self.reasons.update(thing for thing, named in self.things.items() if named == name)

    def write(self, name: str) -> None:
        self.versions += 1
        data = {"data": {"version": str(self.versions)}}
        if self.stored(name) is None:
            self.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **data}, TEAM)
        else:
            self.cluster.edit(CONFIG_MAP, TEAM, name, **data)

    def point(self, thing: str, name: str) -> None:
        """Have a thing name this ConfigMap."""
        self.versions += 1
        self.things[thing] = name
        self.reasons[thing] += 1
        metadata = {"uid": thing, "name": thing, "namespace": TEAM, "resourceVersion": str(self.versions)}
        self.engine.observe("Thing", "MODIFIED", {"metadata": metadata, "spec": {"name": name}})

    def restore(self) -> None:
        """Put an older copy back: the watch ends some time later, and its versions lie in the future."""
        self.cluster.store.restore(self.snapshot)
        self.cluster.streams.forget(self.cluster.store.version)
        self.cluster.streams.end()


@THOROUGH
@example([("point", "x", "a"), ("write", "x", "a"), ("cut", "x", "a"), ("write", "x", "a")])
@example([("deny", "x", "a"), ("cut", "x", "a"), ("point", "x", "a"), ("wait", "x", "a"), ("write", "x", "a")])
@example([("point", "x", "a"), ("write", "x", "a"), ("write", "x", "b"), ("long wait", "x", "a"),
          ("restore", "x", "a")])
@example([("write during a read", "x", "a"), ("point", "x", "a"), ("cut", "x", "a"), ("point", "y", "a")])
@example([("point", "x", "a"), ("write", "x", "a"), ("write", "x", "a"), ("tell the first event again", "x", "a"),
          ("end", "x", "a"), ("write", "x", "a")])
@example([("point", "x", "a"), ("write", "x", "a"), ("clear the namespace", "x", "a"),
          ("tell the first event again", "x", "a"), ("cut", "x", "a"), ("write", "x", "a")])
@example([("write", "y", "a"), ("point", "y", "a"), ("wait", "y", "a"), ("write", "y", "a")])
@example([("write", "y", "a"), ("point", "y", "a"), ("wait", "y", "a"), ("cut", "y", "a"), ("write", "y", "a")])
@example([("write", "y", "a"), ("point", "y", "a"), ("deny", "y", "a"), ("cut", "y", "a"), ("write", "y", "a")])
@given(ANYTHING)
async def test_who_names_what_changed_is_woken(steps: list[Step]) -> None:
    history = History()
    async with history.running():
        for step in steps:
            await history.step(*step)
        await history.clock.advance(HEALED)
        assert history.seen() == history.wanted()  # by the watch, or without the right by polling
        history.cluster.fake_api.faults.clear()
        await history.clock.advance(HEALED)

        assert history.seen() == history.wanted()
        assert all(history.references.are_watched(thing) for thing in history.things)
        assert len(history.references._versions) <= len(NAMES)


@THOROUGH
@example([("point", "x", "a"), ("write", "x", "b"), ("stranger", "x", "a"), ("cut and heal", "x", "a")])
@example([("write", "x", "a"), ("point", "x", "a"), ("cut and heal", "x", "a"), ("point", "y", "a"),
          ("cut and heal", "x", "a")])
@given(HARMLESS)
async def test_nobody_else_is_woken(steps: list[Step]) -> None:
    """A change causes at most two passes: its event, and a list that shows it as well."""
    history = History()
    async with history.running():
        for step in steps:
            await history.step(*step)
        await history.clock.advance(HEALED)

        for thing in THINGS:
            changes = history.reasons[thing]
            assert history.passes[thing] <= 2 * changes
