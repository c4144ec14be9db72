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
from tests.faults.runner.reusable_fixture import ReusableFixture
from tests.faults.runner.supervised_operator import ForkedOperator, Supervisor

from agentex_dev.kubeconfig import Server, write_kubeconfig
from agentex_simulator import Settings, SimulatorThread
from agentex_simulator.settings import Durations
from agentex_testkit import builders
from agentex_testkit.api_server import CLUSTER_SCOPED, ApiServer, Client, Object, gone, ready
from agentex_testkit.cluster_fixture import TIME_SCALE
from agentex_testkit.fault_proxy.calls import KUBE
from agentex_testkit.fault_proxy.calls import REMOTE as AGENTEX
from agentex_testkit.fault_proxy.faults import CallFault, WatchFilter
from agentex_testkit.fault_proxy.proxy import FaultProxy
from agentex_testkit.hostile import SourceServer
from agentex_testkit.judge.findings import Finding, Harm
from agentex_testkit.prefork import PreforkServer

SHORT = Durations(queued=(60, 60), running=(60, 60), rollout=(40, 40))
REST_SECONDS = 1.8           # seconds without a write: longer than a resync takes
LONGEST_UNREST = 25.0
REMOVAL = 40.0



@dataclass(frozen=True)
class ClusterAccess:
    """The address of the control plane, and tokens for it; plain values that can be sent to a process."""

    url: str
    ca: bytes
    administrator: str   # a token
    operator: str        # the token of the operator's ServiceAccount
    cluster: str         # the uid of the namespace kube-system
    folder: Path         # for files of this run





class SecondOperator(Protocol):
    """Another operator in the world of a plan."""

    def begin(self) -> None:
        """Start, in a world that is ready."""
        ...

    def ambiguous(self) -> int:
        """How many creates were sent whose answer it never had."""
        ...

    @property
    def log(self) -> str:
        """Its log of this plan."""
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
    prepared: int = 0                # how many calls only prepared this plan; no plans are made from them

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
        self.world = ReusableFixture(api, self.namespace, self.simulator, self.operator, self.proxy.urls[AGENTEX],
                           access.cluster, sources=self.sources, plan_from_here=self.plan_from_here)
        self.world.open()
        stack.callback(self.world.discard)

    def new_operator(self, proxy: FaultProxy) -> ForkedOperator:
        """A new operator that reaches the API server and the remote API through this fault proxy."""
        address = proxy.open(KUBE, self.access.url, self.access.ca)
        proxy.open(AGENTEX, self.simulator.url)
        path = self.folder / f"kubeconfig-{address.rpartition(':')[2]}"
        config = write_kubeconfig(path, Server(address, self.access.ca), "operator", self.access.operator)
        flags = (f"--allowed-source-hosts={self.sources.host}", *self.flags)
        return ForkedOperator(self.prefork, config, (self.namespace,), self.folder, flags)

    def interrupt(self) -> None:
        """Kill the operator, as the fault proxy asks; the supervisor starts it again."""
        self.supervisor.kill_now()

    @contextmanager
    def interrupting_with(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Within this context, a fault does this instead of killing the operator."""
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
        with self._locking(kinds, fcntl.LOCK_EX):
            yield

    @contextmanager
    def sparing_other_workers(self) -> Iterator[None]:
        """While this lasts, no worker has objects that belong to no namespace: this operator would mistreat them, too.

        Several workers may do this at the same time.
        """
        with self._locking(CLUSTER_SCOPED, fcntl.LOCK_SH):
            yield

    @contextmanager
    def _locking(self, kinds: Iterable[str], how: int) -> Iterator[None]:
        with ExitStack() as stack:
            for kind in sorted(set(kinds).intersection(CLUSTER_SCOPED)):
                held = stack.enter_context((self.access.folder / f"{kind}.lock").open("w"))
                fcntl.flock(held, how)
            yield

    # --- a plan ---------------------------------------------------------------------------------------------------

    def reset(self, *lives: Sequence[CallFault], watch_filter: WatchFilter | None = None) -> ReusableFixture:
        """Empty the world, and start an operator and an account in it: from now on calls are counted."""
        self.supervisor.stop()
        self.never_rests, self.prepared = False, 0
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

    def plan_from_here(self) -> None:
        """Count the calls until now among those that only prepare the plan."""
        self.prepared = len(self.proxy.trace)

    def _looked_at_account(self) -> None:
        """Wait until this operator says that the account is Ready; the operator before it may have said so too."""
        asked = str(time.time_ns())
        self.world.annotate("AgentexAccount", "default", reconcile_requested_at=asked)
        self.world.wait("AgentexAccount", "default", lambda account: ready(account) and handled(account) == asked)

    def _plant(self) -> str:
        """Make new secrets to look for at the end of the plan; the API key."""
        self.planted = secret_markers.plant()
        self.leak_detector = secret_markers.LeakDetector(self.world, self.planted.all)
        self.simulator.set_keys("acct-1", self.planted.api_key.text, builders.KEY)
        return self.planted.api_key.text

    def attempt(self, act: Callable[[], None]) -> tuple[Finding, ...]:
        """Do this; a wait that times out is a finding (stuck)."""
        try:
            act()
        except AssertionError as error:
            return (Finding("I20", str(error)[:3000], Harm.STUCK),)
        return ()

    def ambiguous(self) -> int:
        """How many creates were sent whose answer no operator had."""
        return self.proxy.ambiguous() + (self.second.ambiguous() if self.second else 0)

    def wait_for_rest(self, late: float = 0) -> tuple[Finding, ...]:
        """I11: wait until nothing is written, here or remotely; `late`: how many seconds late a view may be."""
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
        """The findings of the judge now, and the errors in the operator's log."""
        return (*self.world.findings(self.ambiguous()), *self.log_errors())

    def delete_everything(self) -> tuple[Finding, ...]:
        """I21: delete everything; findings if something stays, here or remotely."""
        return self.attempt(self._delete_everything) or tuple(self.world.outliving())

    def finish(self) -> tuple[Finding, ...]:
        """The end of every plan: judge, delete everything, judge again, and look for leaked secrets."""
        return tuple(dict.fromkeys([*self.judge(), *self.delete_everything(), *self.judge(), *self.leaked_secrets()]))

    def log_errors(self) -> tuple[Finding, ...]:
        """I19: errors in the log of every operator of this plan."""
        return operator_log.errors(self.operator.log, self.second.log if self.second else "")

    def leaked_secrets(self) -> tuple[Finding, ...]:
        """I16: secrets of this plan that were seen where nobody may see them."""
        said = self.second.log if self.second else ""
        parts = secret_markers.parts_of(self.planted.all)
        second = [Finding("I16", f"{marker.what} in the second operator's log", Harm.OTHER)
                  for _, marker in secret_markers.found_in(said, parts)]
        return (*self.leak_detector.leaks(), *second)

    def unexpected_exits(self) -> tuple[Finding, ...]:
        """I13: a finding if the operator ended although neither a fault nor kopf's watch ended it."""
        deaths = self.supervisor.deaths - self._deaths_before
        given_up = len(operator_log.GIVEN_UP.findall(self.operator.log))
        if deaths <= self.proxy.interruptions + given_up:
            return ()
        return (Finding("I13", f"the operator ended {deaths} times, and was ended {self.proxy.interruptions} times",
                        Harm.OTHER),)

    # --- how ------------------------------------------------------------------------------------------------------

    def _amount_written(self) -> tuple[int, int]:
        return self.world.amount_written, sum(one["cause"] == "api" for one in self.simulator.ledger())

    def _delete_everything(self) -> None:
        for kind, name in self.world.delete_all():
            self.world.wait(kind, name, gone, REMOVAL)





def handled(obj: Object | None) -> str | None:
    """The request for a pass that was answered last."""
    found: str | None = ((obj or {}).get("status") or {}).get("lastHandledReconcileRequestedAt")
    return found
