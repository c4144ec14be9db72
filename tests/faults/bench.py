"""A workbench: one namespace, one simulator, one director, one operator after the other; plans are run on it in turn.

Each worker of a run has one. The control plane and the installation are shared; `Site` says where they are.
"""

from __future__ import annotations

import fcntl
import re
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, Self

from tests.faults import canaries
from tests.faults.calls import KUBE
from tests.faults.calls import REMOTE as AGENTEX
from tests.faults.director import Cue, Director, View
from tests.faults.nursery import ForkedPart, Nursery
from tests.faults.stage import Stage

from agentex_dev.kubeconfig import Server, write_kubeconfig
from agentex_simulator import Settings, SimulatorThread
from agentex_simulator.settings import Durations
from agentex_testkit import builders
from agentex_testkit.api_server import CLUSTER_SCOPED, ApiServer, Client, Object, eventually, gone, ready
from agentex_testkit.hostile import Depot
from agentex_testkit.judge.findings import Finding, Harm
from agentex_testkit.operator_process import DRAIN, Operator
from agentex_testkit.world import TIME_SCALE

LONGEST_LIFE = 4     # seconds: T_max
MISSING_GRACE = 12   # seconds: a story that heals a 404 as soon as it is said has to be in time on a busy machine
QUICK = (
    "--settle=1s", f"--missing-grace={MISSING_GRACE}s", "--expiry-grace=1s", f"--create-longest-life={LONGEST_LIFE}s",
    "--resync=1s", "--reference-resync=1s", f"--drain-timeout={DRAIN}s", "--log-level=debug",
)
SHORT = Durations(queued=(60, 60), running=(60, 60), rollout=(40, 40))
REST = 1.8           # seconds without a write: longer than a resync takes
LONGEST_UNREST = 25.0
REMOVAL = 40.0
TROUBLE = re.compile(r"Traceback \(most recent call last\)|RulesNeverEnd|unexpected|this is a bug", re.IGNORECASE)
TRACE = 30   # lines of a trace that was written past the log are shown
GIVEN_UP = re.compile(r'"logger":"kopf\._core\.reactor\.running","msg":"[^"]* has failed')
EXPECTED = re.compile(   # what kopf leaves behind, asyncio logs: a task, or one of the generators of its watch
    r'"logger":"kopf|"logger":"asyncio","msg":"[^"]*(/kopf/|<async_generator object (infinite|continuous)_watch )'
)


@dataclass(frozen=True)
class Site:
    """Where the control plane is, and who may do what there; plain values, for other processes."""

    url: str
    ca: bytes
    administrator: str   # a token
    operator: str        # the token of the operator's ServiceAccount
    cluster: str         # the uid of the namespace kube-system
    folder: Path         # for files of this run


class ForkedOperator(Operator):
    """The operator as a child of the nursery: the same process, started in a tenth of the time."""

    def __init__(self, nursery: Nursery, kubeconfig: Path, namespaces: Sequence[str], folder: Path,
                 flags: Sequence[str]) -> None:
        super().__init__(kubeconfig, namespaces, folder, (*QUICK, *flags))
        self._nursery = nursery
        self.part: ForkedPart | None = None

    @property
    def running(self) -> bool:
        return self.part is not None and self.part.running

    def start(self) -> None:
        """Start it, and return when it is ready."""
        self.launch()
        eventually(self.is_ready, seconds=30)

    def launch(self) -> None:
        """Start it, and do not wait."""
        if self.part is not None:
            self.part.close()
        self.part = ForkedPart(self._nursery, self._command()[1:], self.log_path, self.folder)

    def kill(self) -> None:
        if self.part is not None:
            self.part.end(signal.SIGKILL)

    def stop(self) -> int | None:
        """SIGTERM: 0 if it ended by itself in time, else None."""
        assert self.part is not None
        return 0 if self.part.end(signal.SIGTERM, DRAIN + 10) else None

    def strike(self, how: signal.Signals) -> None:
        """Send a signal, and do not wait for what comes of it."""
        if self.part is not None:
            self.part.send(how)


class Keeper:
    """Starts an operator again whenever it has ended without being told to, as a kubelet does."""

    def __init__(self, operator: ForkedOperator) -> None:
        self.operator = operator
        self.deaths = 0
        self._on, self._over = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._thread.start()

    def start(self) -> None:
        """Start it, keep it alive from now on, and return when it is ready, in whichever of its lives."""
        with self._lock:
            self.operator.launch()
        self._on.set()
        eventually(self.operator.is_ready, seconds=40)

    def stop(self) -> None:
        """Kill it, and let it be dead."""
        self._on.clear()
        with self._lock:
            self.operator.kill()

    def strike(self) -> None:
        """Kill it, at once; it is started again soon."""
        self.operator.strike(signal.SIGKILL)

    def settled(self) -> None:
        """Return when it is there."""
        end = time.monotonic() + 40
        while self._on.is_set() and not self.operator.running:
            assert time.monotonic() < end, "the operator was not started again"
            time.sleep(0.05)

    def end(self) -> None:
        """Keep it no more."""
        self._over.set()
        self._thread.join(45)

    def _keep(self) -> None:
        while not self._over.wait(0.05):
            with self._lock:
                if self._on.is_set() and not self.operator.running:
                    self.deaths += 1
                    self.operator.launch()


class Beside(Protocol):
    """Who else acts in the world of a plan."""

    def begin(self) -> None:
        """Begin, in a world that is ready."""
        ...

    def ambiguous(self) -> int:
        """How many creates were sent whose answer it never had."""
        ...

    @property
    def log(self) -> str:
        """What it said in this plan."""
        ...


@dataclass
class Bench:
    """What plans are run on: `with Bench(site, "3") as bench: bench.ready(); ...; bench.judged(plan)`."""

    site: Site
    label: str
    flags: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    client: type[Client] = Client   # what the tests themselves ask the API server with
    _stack: ExitStack = field(default_factory=ExitStack)
    restless: bool = False   # of a plan: it writes for ever, and why is known
    _lives: int = 0          # how often the operator had died before this plan
    beside: Beside | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._build(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _build(self, stack: ExitStack) -> None:
        site, self.namespace = self.site, f"faults-{self.label}"
        self.folder = site.folder / self.namespace
        self.folder.mkdir(exist_ok=True)
        api = ApiServer(site.url, site.ca, site.administrator, self.client)
        stack.callback(api.close)
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        self.nursery = stack.enter_context(Nursery())
        self.simulator = stack.enter_context(SimulatorThread(Settings(
            **{"time_scale": 2 * TIME_SCALE, "durations": SHORT, **self.settings})))
        self.depot = stack.enter_context(Depot())
        self.director = Director(self.strike)
        stack.callback(self.director.close)
        stack.callback(self._write_calls_down)
        self.operator = self.an_operator(self.director)
        stack.callback(self.operator.end)
        self.keeper = Keeper(self.operator)
        stack.callback(self.keeper.end)
        self.world = Stage(api, self.namespace, self.simulator, self.operator, self.director.urls[AGENTEX],
                           site.cluster, depot=self.depot)
        self.world.open()
        stack.callback(self.world.discard)

    def an_operator(self, director: Director) -> ForkedOperator:
        """An operator that speaks to everybody through this director, whose doors are opened."""
        door = director.open(KUBE, self.site.url, self.site.ca)
        director.open(AGENTEX, self.simulator.url)
        config = write_kubeconfig(self.folder / f"kubeconfig-{door.rpartition(':')[2]}", Server(door, self.site.ca),
                                  "operator", self.site.operator)
        flags = (f"--allowed-source-hosts={self.depot.host}", *self.flags)
        return ForkedOperator(self.nursery, config, (self.namespace,), self.folder, flags)

    def _write_calls_down(self) -> None:
        """One call of each site, for whoever asks at the end which there were."""
        (self.folder / "calls.txt").write_text("\n".join(map(str, self.director.sites.values())))

    def strike(self) -> None:
        """What the director does at a cue: the operator dies, and is started again."""
        self.keeper.strike()

    @contextmanager
    def struck_by(self, strike: Callable[[], None]) -> Iterator[None]:
        """While this lasts, that is what happens at a cue."""
        kill, self.director.strike = self.director.strike, strike
        try:
            yield
        finally:
            self.director.strike = kill

    @contextmanager
    def alone_with(self, kinds: Iterable[str]) -> Iterator[None]:
        """While this lasts, no other worker has objects of these kinds, where they belong to no namespace: every
        operator sees such an account, and the keys of all of them lie in one namespace.
        """
        with ExitStack() as stack:
            for kind in sorted(set(kinds).intersection(CLUSTER_SCOPED)):
                held = stack.enter_context((self.site.folder / f"{kind}.lock").open("w"))
                fcntl.flock(held, fcntl.LOCK_EX)
            yield

    # --- a plan ---------------------------------------------------------------------------------------------------

    def ready(self, *acts: Sequence[Cue], view: View | None = None) -> Stage:
        """An empty world with an account, and an operator that has just started: from now on, calls are counted."""
        self.keeper.stop()
        self.restless = False
        self.operator.log_path.unlink(missing_ok=True)
        self.simulator.reset()
        self.depot.asked.clear()
        self.world.begin_anew()
        self.director.begin(*acts, view=view)
        key = self._plant()
        self.keeper.start()
        self._lives = self.keeper.deaths
        self.world.apply(builders.a_secret(key=key), builders.an_account(self.world.endpoint))
        self._looked_at_account()
        if self.beside is not None:
            self.beside.begin()
        return self.world

    def _looked_at_account(self) -> None:
        """Wait for this operator to say that the account is Ready; of the last plan's account one said so already."""
        asked = str(time.time_ns())
        self.world.annotate("AgentexAccount", "default", reconcile_requested_at=asked)
        self.world.wait("AgentexAccount", "default", lambda account: ready(account) and handled(account) == asked)

    def _plant(self) -> str:
        """Fresh secrets, that are looked for at the end wherever nobody may see them; the API key."""
        self.planted = canaries.planted()
        self.lookout = canaries.Lookout(self.world, self.planted.all)
        self.simulator.set_keys("acct-1", self.planted.api_key.text, builders.KEY)
        return self.planted.api_key.text

    def told(self, act: Callable[[], None]) -> tuple[Finding, ...]:
        """Do this; what is waited for in vain is stuck."""
        try:
            act()
        except AssertionError as error:
            return (Finding("I20", str(error)[:3000], Harm.STUCK),)
        return ()

    def ambiguous(self) -> int:
        """How many creates were sent whose answer no operator ever had."""
        return self.director.ambiguous() + (self.beside.ambiguous() if self.beside else 0)

    def at_rest(self, late: float = 0) -> tuple[Finding, ...]:
        """I11: nothing is written, in the cluster or remotely, once all is done; `late`: how late views may be."""
        self.keeper.settled()
        if self.restless:
            return ()
        end, seen, since = time.monotonic() + LONGEST_UNREST, self._written(), time.monotonic()
        while time.monotonic() < since + REST + late:
            time.sleep(0.2)
            if time.monotonic() >= since + REST + late:
                self.world.catch_up()  # silence of a watch that is behind is no rest
            if (now := self._written()) != seen:
                seen, since = now, time.monotonic()
            if time.monotonic() > end:
                return (Finding("I11", f"writes go on for ever, the last: {self.world.last_written()}", Harm.STUCK),)
        return ()

    def judged(self) -> tuple[Finding, ...]:
        """What the judge says of the world as it is, and of the operator's log."""
        return (*self.world.findings(self.ambiguous()), *self.bugs())

    def cleared(self) -> tuple[Finding, ...]:
        """I21: everything is deleted, and goes, and leaves nothing alive."""
        return self.told(self._delete_everything) or tuple(self.world.left_alive())

    def ended(self) -> tuple[Finding, ...]:
        """The end of every plan, once all is at rest: the judge, removal, the judge again, and no secret spilled."""
        return tuple(dict.fromkeys([*self.judged(), *self.cleared(), *self.judged(), *self.spilled()]))

    def bugs(self) -> tuple[Finding, ...]:
        """I19, of every operator of this plan."""
        return bugs(self.operator.log, self.beside.log if self.beside else "")

    def spilled(self) -> tuple[Finding, ...]:
        """I16: every secret of this plan that was seen where nobody may see it."""
        said = self.beside.log if self.beside else ""
        parts = canaries.parts_of(self.planted.all)
        beside = [Finding("I16", f"{canary.what} in the second operator's log", Harm.OTHER)
                  for _, canary in canaries.given_away(said, parts)]
        return (*self.lookout.spilled(), *beside)

    def died(self) -> tuple[Finding, ...]:
        """I13: the operator dies when it is killed, or when kopf gives its watch up, and never else."""
        deaths = self.keeper.deaths - self._lives
        given_up = len(GIVEN_UP.findall(self.operator.log))
        if deaths <= self.director.strikes + given_up:
            return ()
        return (Finding("I13", f"the operator ended {deaths} times, and was told to {self.director.strikes} times",
                        Harm.OTHER),)

    # --- how ------------------------------------------------------------------------------------------------------

    def _written(self) -> tuple[int, int]:
        return self.world.amount_written, sum(one["cause"] == "api" for one in self.simulator.ledger())

    def _delete_everything(self) -> None:
        for kind, name in self.world.delete_all():
            self.world.wait(kind, name, gone, REMOVAL)


def bugs(*logs: str) -> tuple[Finding, ...]:
    """I19: what nobody expected has a trace in the log. That kopf's watch fails is: the operator starts again."""
    lines = [line for log in logs for line in log.splitlines()]
    traces = (at for at, line in enumerate(lines) if TROUBLE.search(line) and not EXPECTED.search(line))
    said = ("\n".join(lines[at:at + TRACE]) for at in traces)  # what has a line of its own is not said by the log
    return tuple(Finding("I19", f"the log says: {text[:2500]}", Harm.OTHER) for text in islice(said, 1))


def handled(obj: Object | None) -> str | None:
    """Which request to be looked at was last answered."""
    found: str | None = ((obj or {}).get("status") or {}).get("lastHandledReconcileAt")
    return found
