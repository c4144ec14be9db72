"""What a worker runs plans on: one namespace, one simulator, one fault proxy, and one operator after the other.

The control plane and the installation are shared by all workers; `ClusterAccess` says where they are.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from tests.faults.runner import operator_log, secret_markers
from tests.faults.runner.reusable_world import ReusableWorld
from tests.faults.runner.supervised_operator import ForkedOperator, Supervisor

from agentex_dev.kubeconfig import Server, write_kubeconfig
from agentex_simulator import Settings, SimulatorThread
from agentex_simulator.settings import Durations
from agentex_testkit import builders
from agentex_testkit.api_server import CLUSTER_SCOPED, ApiServer, Client, Object, gone, ready
from agentex_testkit.fault_proxy.calls import KUBE
from agentex_testkit.fault_proxy.calls import REMOTE as AGENTEX
from agentex_testkit.fault_proxy.faults import CallFault, WatchFilter
from agentex_testkit.fault_proxy.proxy import FaultProxy
from agentex_testkit.hostile import SourceServer
from agentex_testkit.judge.findings import Finding, Harm
from agentex_testkit.prefork import PreforkServer
from agentex_testkit.world import TIME_SCALE

SHORT = Durations(queued=(60, 60), running=(60, 60), rollout=(40, 40))
REST_SECONDS = 1.8           # seconds without a write: longer than a resync takes
LONGEST_UNREST = 25.0
REMOVAL = 40.0



@dataclass(frozen=True)
class ClusterAccess:
    """Where the control plane is, and who may do what there; plain values, for other processes."""

    url: str
    ca: bytes
    administrator: str   # a token
    operator: str        # the token of the operator's ServiceAccount
    cluster: str         # the uid of the namespace kube-system
    folder: Path         # for files of this run





class SecondOperator(Protocol):
    """Who else lives in the world of a plan."""

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
class Runner:
    """What plans are run on: `with Runner(access, "3") as runner: runner.reset(); ...; runner.judge(plan)`."""

    access: ClusterAccess
    label: str
    flags: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    client: type[Client] = Client   # what the tests themselves ask the API server with
    _stack: ExitStack = field(default_factory=ExitStack)
    never_rests: bool = False   # of a plan: it writes for ever, and why is known
    _deaths_before: int = 0          # how often the operator had died before this plan
    second: SecondOperator | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._build(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _build(self, stack: ExitStack) -> None:
        access, self.namespace = self.access, f"faults-{self.label}"
        self.folder = access.folder / self.namespace
        self.folder.mkdir(exist_ok=True)
        api = ApiServer(access.url, access.ca, access.administrator, self.client)
        stack.callback(api.close)
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        self.prefork = stack.enter_context(PreforkServer())
        self.simulator = stack.enter_context(SimulatorThread(Settings(
            **{"time_scale": 2 * TIME_SCALE, "durations": SHORT, **self.settings})))
        self.sources = stack.enter_context(SourceServer())
        self.proxy = FaultProxy(self.interrupt)
        stack.callback(self.proxy.close)
        self.operator = self.new_operator(self.proxy)
        stack.callback(self.operator.end)
        self.supervisor = Supervisor(self.operator)
        stack.callback(self.supervisor.end)
        self.world = ReusableWorld(api, self.namespace, self.simulator, self.operator, self.proxy.urls[AGENTEX],
                           access.cluster, sources=self.sources)
        self.world.open()
        stack.callback(self.world.discard)

    def new_operator(self, proxy: FaultProxy) -> ForkedOperator:
        """An operator that speaks to everybody through this proxy, whose doors are opened."""
        door = proxy.open(KUBE, self.access.url, self.access.ca)
        proxy.open(AGENTEX, self.simulator.url)
        config = write_kubeconfig(self.folder / f"kubeconfig-{door.rpartition(':')[2]}", Server(door, self.access.ca),
                                  "operator", self.access.operator)
        flags = (f"--allowed-source-hosts={self.sources.host}", *self.flags)
        return ForkedOperator(self.prefork, config, (self.namespace,), self.folder, flags)

    def interrupt(self) -> None:
        """What the proxy does at a cue: the operator dies, and is started again."""
        self.supervisor.kill_now()

    @contextmanager
    def interrupting_with(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """While this lasts, that is what happens at a cue."""
        kill, self.proxy.interrupt = self.proxy.interrupt, interrupt
        try:
            yield
        finally:
            self.proxy.interrupt = kill

    @contextmanager
    def exclusively(self, kinds: Iterable[str]) -> Iterator[None]:
        """While this lasts, no other worker has objects of these kinds, where they belong to no namespace: every
        operator sees such an account, and the keys of all of them lie in one namespace.
        """
        with ExitStack() as stack:
            for kind in sorted(set(kinds).intersection(CLUSTER_SCOPED)):
                held = stack.enter_context((self.access.folder / f"{kind}.lock").open("w"))
                fcntl.flock(held, fcntl.LOCK_EX)
            yield

    # --- a plan ---------------------------------------------------------------------------------------------------

    def reset(self, *lives: Sequence[CallFault], watch_filter: WatchFilter | None = None) -> ReusableWorld:
        """An empty world with an account, and an operator that has just started: from now on, calls are counted."""
        self.supervisor.stop()
        self.never_rests = False
        self.operator.log_path.unlink(missing_ok=True)
        self.simulator.reset()
        self.sources.asked.clear()
        self.world.begin_anew()
        self.proxy.begin(*lives, watch_filter=watch_filter)
        key = self._plant()
        self.supervisor.start()
        self._deaths_before = self.supervisor.deaths
        self.world.apply(builders.a_secret(key=key), builders.an_account(self.world.endpoint))
        self._looked_at_account()
        if self.second is not None:
            self.second.begin()
        return self.world

    def _looked_at_account(self) -> None:
        """Wait for this operator to say that the account is Ready; of the last plan's account one said so already."""
        asked = str(time.time_ns())
        self.world.annotate("AgentexAccount", "default", reconcile_requested_at=asked)
        self.world.wait("AgentexAccount", "default", lambda account: ready(account) and handled(account) == asked)

    def _plant(self) -> str:
        """Fresh secrets, that are looked for at the end wherever nobody may see them; the API key."""
        self.planted = secret_markers.plant()
        self.leak_detector = secret_markers.LeakDetector(self.world, self.planted.all)
        self.simulator.set_keys("acct-1", self.planted.api_key.text, builders.KEY)
        return self.planted.api_key.text

    def attempt(self, act: Callable[[], None]) -> tuple[Finding, ...]:
        """Do this; what is waited for in vain is stuck."""
        try:
            act()
        except AssertionError as error:
            return (Finding("I20", str(error)[:3000], Harm.STUCK),)
        return ()

    def ambiguous(self) -> int:
        """How many creates were sent whose answer no operator ever had."""
        return self.proxy.ambiguous() + (self.second.ambiguous() if self.second else 0)

    def wait_for_rest(self, late: float = 0) -> tuple[Finding, ...]:
        """I11: nothing is written, in the cluster or remotely, once all is done; `late`: how late views may be."""
        self.supervisor.wait_until_running()
        if self.never_rests:
            return ()
        end, seen, since = time.monotonic() + LONGEST_UNREST, self._amount_written(), time.monotonic()
        while time.monotonic() < since + REST_SECONDS + late:
            time.sleep(0.2)
            if time.monotonic() >= since + REST_SECONDS + late:
                self.world.catch_up()  # silence of a watch that is behind is no rest
            if (now := self._amount_written()) != seen:
                seen, since = now, time.monotonic()
            if time.monotonic() > end:
                return (Finding("I11", f"writes go on for ever, the last: {self.world.last_written()}", Harm.STUCK),)
        return ()

    def judge(self) -> tuple[Finding, ...]:
        """What the judge says of the world as it is, and of the operator's log."""
        return (*self.world.findings(self.ambiguous()), *self.log_errors())

    def delete_everything(self) -> tuple[Finding, ...]:
        """I21: everything is deleted, and goes, and leaves nothing alive."""
        return self.attempt(self._delete_everything) or tuple(self.world.left_alive())

    def finish(self) -> tuple[Finding, ...]:
        """The end of every plan, once all is at rest: the judge, removal, the judge again, and no secret spilled."""
        return tuple(dict.fromkeys([*self.judge(), *self.delete_everything(), *self.judge(), *self.leaked_secrets()]))

    def log_errors(self) -> tuple[Finding, ...]:
        """I19, of every operator of this plan."""
        return operator_log.errors(self.operator.log, self.second.log if self.second else "")

    def leaked_secrets(self) -> tuple[Finding, ...]:
        """I16: every secret of this plan that was seen where nobody may see it."""
        said = self.second.log if self.second else ""
        parts = secret_markers.parts_of(self.planted.all)
        second = [Finding("I16", f"{marker.what} in the second operator's log", Harm.OTHER)
                  for _, marker in secret_markers.found_in(said, parts)]
        return (*self.leak_detector.leaks(), *second)

    def unexpected_exits(self) -> tuple[Finding, ...]:
        """I13: the operator dies when it is killed, or when kopf gives its watch up, and never else."""
        deaths = self.supervisor.deaths - self._deaths_before
        given_up = len(operator_log.GIVEN_UP.findall(self.operator.log))
        if deaths <= self.proxy.interruptions + given_up:
            return ()
        return (Finding("I13", f"the operator ended {deaths} times, and was told to {self.proxy.interruptions} times",
                        Harm.OTHER),)

    # --- how ------------------------------------------------------------------------------------------------------

    def _amount_written(self) -> tuple[int, int]:
        return self.world.amount_written, sum(one["cause"] == "api" for one in self.simulator.ledger())

    def _delete_everything(self) -> None:
        for kind, name in self.world.delete_all():
            self.world.wait(kind, name, gone, REMOVAL)





def handled(obj: Object | None) -> str | None:
    """Which request to be looked at was last answered."""
    found: str | None = ((obj or {}).get("status") or {}).get("lastHandledReconcileAt")
    return found
