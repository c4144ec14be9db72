"""The whole operator in the test's process: on a fake cluster and a real simulator, by a clock that the test moves.

Everything of the operator is real but the watch (kopf) and the connection to the API server. The simulator answers
real HTTP; how long its builds and rollouts take is counted by the same clock.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from agentex_operator.bootstrap import BUILT_IN_KINDS, Registry, operating
from agentex_operator.clock import Clock
from agentex_operator.kube.kinds import NAMESPACE, Kind
from agentex_operator.logs import Redactor
from agentex_operator.reconcile.engine import Engine
from agentex_operator.settings import Settings
from agentex_simulator import Settings as SimulatorSettings
from agentex_simulator import SimulatorThread
from agentex_simulator.clock import Clock as SimulatorClock
from agentex_testkit import builders, ledger
from agentex_testkit.api_server import Object, ready
from agentex_testkit.clocks import HandClock
from agentex_testkit.fake_cluster.cluster import FakeCluster
from agentex_testkit.fake_cluster.served import Served, operators_kinds

TEAM = "team"  # the namespace that everything is in unless a test says otherwise
PATIENCE = 20.0  # real seconds until a harness that never comes to rest is an error
LOOPBACK = ("127.0.0.1:*",)  # the endpoints of simulators, as --allowed-endpoints takes them
STEP = 0.0005  # real seconds between two looks whether it rests


class SharedClock(HandClock):
    """A hand clock that begins at the present, because deadlines of single calls go by the event loop's clock."""

    def __init__(self) -> None:
        real = Clock()
        super().__init__(seconds=real.monotonic())
        self._start = real.now() - timedelta(seconds=self.seconds)

    def now(self) -> datetime:
        """Return the time of day: the present at the start, and what the test added."""
        return self._start + timedelta(seconds=self.seconds)

    def due_in(self) -> float | None:
        """Return the seconds until the next timer rings, or None where there is no timer."""
        while self.timers and self.timers[0][2].cancelled:
            heapq.heappop(self.timers)
        return self.timers[0][0] - self.seconds if self.timers else None


class SharedSimulatorClock(SimulatorClock):
    """The same clock, as the simulator reads it."""

    def __init__(self, clock: SharedClock) -> None:
        super().__init__()
        self._clock = clock

    def now(self) -> datetime:
        """Return the time of day, wrong by `skew`."""
        return self._clock.now() + self.skew

    def elapsed(self) -> float:
        """Return the seconds of the hand clock."""
        return self._clock.monotonic()


@contextmanager
def simulating(**settings: Any) -> Iterator[tuple[SharedClock, SimulatorThread]]:
    """Run a simulator by a hand clock; builds take two seconds and rollouts one, by that clock. Share it, reset it."""
    clock = SharedClock()
    told = SimulatorSettings(**{"time_scale": 60, **settings})
    with SimulatorThread(told, lambda: SharedSimulatorClock(clock)) as simulator:
        yield clock, simulator


class Harness:
    """What a test holds. `apply` and `wait` are most of it."""

    def __init__(self, clock: SharedClock, simulator: SimulatorThread, work_dir: Path, *,
                 registry: Registry = BUILT_IN_KINDS, served: tuple[Served, ...] = (), **settings: Any) -> None:
        """Prepare an operator that knows the kinds of `registry`, on a cluster that also serves `served`."""
        self.clock, self.simulator, self.registry = clock, simulator, registry
        self.cluster = FakeCluster(clock, (*operators_kinds(), *served), registry.kinds)
        self.cluster.create({"apiVersion": "v1", "kind": NAMESPACE.kind, "metadata": {"name": TEAM}})
        usual = {"work_dir": work_dir, "allow_http_endpoints": True, "allowed_endpoints": LOOPBACK,
                 "health_host": "127.0.0.1", "health_port": 0}
        self.settings = Settings(**{**usual, **settings})
        self.redactor = Redactor()
        self.engine: Engine | None = None

    # --- the operator ---------------------------------------------------------------------------------------------

    def running(self) -> AbstractAsyncContextManager[Engine]:
        """Run the operator, fed by the watch; what it left behind last time it finds again, as after a restart."""
        return self._running()

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[Engine]:
        started = operating(self.settings, self.redactor, self.cluster, self.clock, self.registry)
        async with started as running:
            self.engine = engine = running.engine
            self.crds = running.crds
            self.cluster.watch.connect(engine.observe)
            try:
                yield engine
            finally:
                self.cluster.watch.disconnect()
                self.engine = None

    # --- time -----------------------------------------------------------------------------------------------------

    async def settled(self) -> None:
        """Return when nothing is left to do at this moment: no pass, no listing, no event. AssertionError if never."""
        async with asyncio.timeout(PATIENCE):
            quiet = 0
            while quiet < 3:
                for _ in range(6):
                    await asyncio.sleep(0)
                quiet = 0 if self._busy() else quiet + 1
                if not quiet:
                    await asyncio.sleep(STEP)

    async def advance(self, seconds: float) -> None:
        """Move the clock, stopping at each timer until everything has settled."""
        until = self.clock.seconds + seconds
        await self.settled()
        while (due := self.clock.due_in()) is not None and self.clock.seconds + due <= until:
            await self._move(max(due, 0.0))
        await self._move(max(until - self.clock.seconds, 0.0))

    async def _move(self, seconds: float) -> None:
        await self.clock.advance(seconds)
        self.simulator.run_due()
        await self.settled()

    def _busy(self) -> bool:
        stats = self.engine.stats if self.engine else None
        told = self.cluster.watch.pending and not self.cluster.watch.held
        if told or self.cluster.streams.pending or (stats and (stats.depth or stats.in_flight)):
            return True
        return any(task.get_name() == "listing" for task in asyncio.all_tasks())

    async def wait(self, kind: str, name: str, until: Callable[[Object | None], bool] = ready,
                   within: float = 600) -> Object:
        """Return the object as soon as it is so; the clock moves from timer to timer, `within` seconds at most."""
        try:
            await self.until(lambda: until(self.get(kind, name)), within)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.get(kind, name)}") from None
        return self.get(kind, name) or {}

    async def until(self, holds: Callable[[], object], within: float = 600) -> None:
        """Return as soon as it holds; the clock moves from timer to timer, `within` seconds at most."""
        end = self.clock.seconds + within
        await self.settled()
        while not holds():
            due = self.clock.due_in()
            assert due is not None, "it does not hold, and nothing is planned"
            assert self.clock.seconds + due <= end, f"it does not hold within {within:.0f} s"
            await self._move(max(due, 0.0))

    # --- the cluster ----------------------------------------------------------------------------------------------

    def apply(self, *objects: Object) -> Object:
        """Create these objects as a user, or merge them into what is there; return the last one as it is then."""
        applied: Object = {}
        for obj in objects:
            kind, name = self.kind(obj["kind"]), obj["metadata"]["name"]
            there = self.cluster.read(kind, TEAM, name) is not None
            content = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}
            applied = self.cluster.edit(kind, TEAM, name, **content) if there else self.cluster.create(obj, TEAM)
        return applied

    def get(self, kind: str, name: str) -> Object | None:
        """Return the object as it is, or None."""
        return self.cluster.read(self.kind(kind), TEAM, name)

    def status(self, kind: str, name: str) -> Object:
        """Return the status of an object; empty where there is none."""
        found: Object = (self.get(kind, name) or {}).get("status") or {}
        return found

    def edit(self, kind: str, name: str, **body: Any) -> Object:
        """Merge into an object as a user."""
        return self.cluster.edit(self.kind(kind), TEAM, name, **body)

    def annotate(self, kind: str, name: str, **annotations: str) -> None:
        """Annotate in the operator's group: `rebuild_requested_at` is agentex.scale.com/rebuild-requested-at."""
        named = {f"agentex.scale.com/{key.replace('_', '-')}": value for key, value in annotations.items()}
        self.edit(kind, name, metadata={"annotations": named})

    def delete(self, kind: str, name: str) -> None:
        """Ask for the deletion of an object."""
        self.cluster.remove(self.kind(kind), TEAM, name)

    def take_away(self, kind: str, name: str) -> None:
        """Delete an object at once, as a person who removes its finalizers."""
        self.edit(kind, name, metadata={"finalizers": None})
        self.delete(kind, name)

    def kind(self, name: str) -> Kind:
        """Return the kind of this name."""
        return next(kind for kind in self.cluster.store.served if kind.kind == name)

    async def with_account(self) -> None:
        """Create the account `default` with its Secret, and see it Ready."""
        self.apply(builders.a_secret(), builders.an_account(self.simulator.url, pollInterval="5s"))
        await self.wait("AgentexAccount", "default")

    # --- the remote side ------------------------------------------------------------------------------------------

    def owner(self, kind: str, name: str) -> str:
        """Return the ownership token of a resource, as the judge spells it."""
        cluster, obj = self.cluster.read(NAMESPACE, None, "kube-system"), self.get(kind, name)
        assert cluster is not None
        assert obj is not None, f"there is no {kind} {name}"
        return ledger.Tracked(kind, name, obj["metadata"]["uid"]).owner(cluster["metadata"]["uid"])

    def remotes(self, owner: str) -> list[Object]:
        """Return the remote objects with this token, as they truly are."""
        return ledger.remotes(self.simulator, owner)

    def living(self, owner: str) -> list[Object]:
        """Return those of them that are alive."""
        return [one for one in self.remotes(owner) if ledger.is_alive(one)]

    def creates(self, owner: str) -> int:
        """Return how many creates were committed with this token."""
        return len(ledger.created(self.simulator, owner))


