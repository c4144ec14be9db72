"""Run many cases at the same time in one world, each with a remote account of its own.

A case is a generator: it acts, and yields what it waits for. Only the scheduler polls: one snapshot of everything, four
times a second, serves all cases, so that fifty of them cost little more than one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace

from agentex_testkit.api_server import Object
from agentex_testkit.cluster_fixture import ClusterFixture
from agentex_testkit.hostile import SourceServer
from agentex_testkit.judge.findings import Finding, Harm
from agentex_testkit.ledger import REMOTE

EVERY = 0.25
PATIENCE = 60.0
OPERATOR = "agentex-operator"  # in its User-Agent


@dataclass(frozen=True)
class WaitUntil:
    """A case continues when this holds; if it does not in time, that is a finding with this harm."""

    what: str
    holds: Callable[[], object]
    seconds: float = PATIENCE
    harm: Harm = Harm.STUCK
    shown: Callable[[], str] = str


@dataclass(frozen=True)
class RestartOperator:
    """A case continues when the operator was killed and started again, once all other cases want that or ended."""


Steps = Generator[WaitUntil | RestartOperator, None, None]


class BrokenError(Exception):
    """A promise was broken in a case, which does not continue."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


def require(holds: object, invariant: str, text: str, harm: Harm = Harm.OTHER) -> None:
    """Raise BrokenError unless this holds."""
    if not holds:
        raise BrokenError(Finding(invariant, text, harm))


@dataclass(frozen=True)
class Snapshot:
    """Everything at one moment: resources by kind and name, remote objects, the scripted faults by id."""

    resources: Mapping[tuple[str, str], Object]
    remotes: tuple[Object, ...]
    faults: Mapping[str, Object]

    @classmethod
    def of(cls, world: ClusterFixture) -> Snapshot:
        found = {(kind, one["metadata"]["name"]): one for kind in REMOTE
                 for one in world.api.list(kind, world.namespace)}
        state = world.simulator.state()  # later: what is gone has gone there first
        return cls(found, (*state["builds"], *state["deployments"]), _scripted(world))


def _scripted(world: ClusterFixture) -> dict[str, Object]:
    return {one["id"]: one for one in world.simulator.faults()}


class Journal:
    """The calls of the remote API, read bit by bit; a call that was under way is read again."""

    def __init__(self, world: ClusterFixture) -> None:
        self._simulator = world.simulator
        self._calls: dict[int, Object] = {}
        self._whole = 0  # all up to this one have ended

    def of(self, account: str) -> list[Object]:
        """The operator's calls to an account, oldest first."""
        self._calls |= {one["seq"]: one for one in self._simulator.calls(self._whole)}
        while self._calls.get(self._whole + 1, {}).get("seconds") is not None:
            self._whole += 1
        return [one for one in self._calls.values() if one["account"] == account and OPERATOR in one["user_agent"]]


class CaseScheduler:
    """Runs cases in one world, and holds the newest snapshot of it."""

    def __init__(self, world: ClusterFixture, elsewhere: SourceServer, restart: Callable[[], None]) -> None:
        self.world, self.elsewhere = world, elsewhere  # elsewhere: where redirects lead
        self._restart = restart
        self.snapshot, self.journal = Snapshot.of(world), Journal(world)
        self._done: set[str] = set()

    def refresh(self) -> None:
        """Take another snapshot."""
        self.snapshot = Snapshot.of(self.world)

    def refresh_faults(self) -> None:
        """Read the scripted faults alone: reading everything would keep all the other cases waiting."""
        self.snapshot = replace(self.snapshot, faults=_scripted(self.world))

    def once(self, what: str, act: Callable[[], object]) -> None:
        """Do this once for all cases together."""
        if what not in self._done:
            self._done.add(what)
            act()

    def run(self, cases: Mapping[str, Steps]) -> dict[str, tuple[Finding, ...]]:
        """Run all cases to their ends; the findings of each."""
        running = {name: _RunningCase(steps) for name, steps in cases.items()}
        while waiting := [one for one in running.values() if one.wait is not None]:
            if all(isinstance(one.wait, RestartOperator) for one in waiting):
                self._restart()
                for one in waiting:
                    one.go_on()
            time.sleep(EVERY)
            self.refresh()
            for one in waiting:
                one.look()
        return {name: one.findings for name, one in running.items()}


class _RunningCase:
    """One case, as far as it has run; `wait` is None at its end."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self.findings: tuple[Finding, ...] = ()
        self.wait: WaitUntil | RestartOperator | None = None
        self._began = 0.0
        self.go_on()

    def look(self) -> None:
        if not isinstance(self.wait, WaitUntil):
            return
        if self.wait.holds():
            self.go_on()
        elif time.monotonic() > self._began + self.wait.seconds:
            text = f"{self.wait.what}: not so after {self.wait.seconds:.0f} s; {self.wait.shown()}"
            self._break_off(Finding("I20", text, self.wait.harm))

    def go_on(self) -> None:
        self._began = time.monotonic()
        try:
            self.wait = next(self._steps)
        except StopIteration:
            self.wait = None
        except BrokenError as broken:
            self._break_off(broken.finding)

    def _break_off(self, finding: Finding) -> None:
        self.findings += (finding,)
        self.wait = None
        self._steps.close()
