"""The phases of a measurement: busy, latency, idle, restart. Each returns its figures as JSON values."""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from benchmarks import audit_log, workload
from benchmarks.implementations import ITEM, OPERATOR, Implementation, Start
from benchmarks.naive_poller import ACCOUNT_REREAD
from benchmarks.percentiles import evenly, summary
from benchmarks.rig import until
from benchmarks.workload import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.audit_log import AuditedRequest
    from benchmarks.rig import MeasuredProcess, RemoteCall, Rig

    from agentex_testkit.api_server import Object

LISTS = frozenset({"GET /v5/builds", "GET /v5/agentex/deployments"})
CREATE = "POST /v5/builds"
USUAL_POLL = 5  # seconds
POLLS = (5, 1)  # seconds, of the latency phase
PROBES_PER_SECOND = 20
OTHER_TIMEOUT = "23h"  # not the default
LOOK = 0.25  # seconds between two looks at the audit log


@dataclass(frozen=True)
class Wishes:
    """The sizes and times of a measurement (seconds); `rate`: calls per second of the account.

    `probes`: AgentBuilds of each latency phase. `sample`: AgentBuilds that show the first pass after a restart.
    `quiet`: so long nothing is written before a phase ends. `patience`: the longest wait for one thing.
    """

    size: int
    agents: int = 100
    rate: int = 200
    probes: int = 200
    sample: int = 100
    idle: float = 60
    quiet: float = 10
    patience: float = 1800
    time_scale: float = 20


@dataclass
class Measurement:
    """One implementation at one size."""

    rig: Rig
    process: MeasuredProcess
    implementation: Implementation
    wishes: Wishes

    def all_phases(self) -> dict[str, Any]:
        """Every phase, in order; `refusals`: the requests that the API server refused."""
        if self.implementation.name == OPERATOR:
            until(lambda: workload.account_is_ready(self.rig.api), 60)
        found = {"busy": self.busy()}
        found["latency"] = {f"{poll}s": self.latency(poll) for poll in POLLS}
        found |= {"idle": self.idle(), "restart": self.restart()}
        return found | {"refusals": audit_log.refusals(self.rig.audit.requests)}

    # --- phases ---------------------------------------------------------------------------------------------------

    def busy(self) -> dict[str, Any]:
        """Apply all, and wait until all are Ready and nothing is written any more."""
        self._say("busy")
        wanted = workload.builds(self.wishes.size, self.wishes.agents)
        marks, cpu, began = self._marks(), self.process.cpu_seconds(), time.monotonic()
        workload.apply(self.rig.api, wanted)
        applied = time.monotonic() - began
        self._await_ready(wanted, marks[0])
        seconds = time.monotonic() - began
        self._await_quiet()
        cpu = self.process.cpu_seconds() - cpu
        audited, remote = self._since(marks)
        calls, writes = counted(remote), audit_log.writes(audited)
        return {
            "seconds_to_apply": round(applied, 1), "seconds_to_all_ready": round(seconds, 1),
            "list_pages": pages(calls), "gets": calls[f"GET {ITEM}"], "creates": calls[CREATE],
            "remote_calls": calls, "remote_calls_per_life": self._per_life(calls.total()),
            "cpu_ms_per_life": self._per_life(cpu * 1000),
            "writes": writes, "writes_per_life": self._per_life(writes.total()),
            "writes_per_life_without_events": self._per_life(audit_log.without_events(writes)),
            "late_by": summary(self._late_by(wanted, audited)), "memory_mb": self.process.memory(),
        }

    def latency(self, poll: int) -> dict[str, Any]:
        """From the end of a remote build to the condition in the API server, at this pollInterval (seconds)."""
        self._say(f"latency at pollInterval {poll}s")
        self._set_poll_interval(poll)
        probes = workload.builds(self.wishes.probes, self.wishes.agents, prefix=f"probe-{poll}s")
        marks = self._marks()
        workload.apply_slowly(self.rig.api, probes, PROBES_PER_SECOND)
        self._await_ready(probes, marks[0])
        late = self._late_by(probes, self._since(marks)[0])
        return {**summary(late), "all": sorted(round(one, 2) for one in late)}

    def idle(self) -> dict[str, Any]:
        """The CPU, the writes and the remote calls while nothing happens."""
        self._set_poll_interval(USUAL_POLL)
        self._await_quiet()
        self._say("idle")
        marks, cpu = self._marks(), self.process.cpu_seconds()
        time.sleep(self.wishes.idle)
        cpu = self.process.cpu_seconds() - cpu
        audited, remote = self._since(marks)
        return {"seconds": self.wishes.idle, "percent_of_a_core": round(100 * cpu / self.wishes.idle, 2),
                "writes": audit_log.writes(audited).total(), "remote_calls": counted(remote),
                "remote_calls_in_all": len(remote), "api_server_requests": len(audited),
                "memory_mb": self.process.memory()}

    def restart(self) -> dict[str, Any]:
        """End the process, change the timeout of a sample of the AgentBuilds, and start the process again.

        The change needs no remote call; that the status has its generation shows that a pass was made.
        """
        self._say("restart")
        self.process.stop()
        names = sorted(workload.build_ids(self.rig.api))
        changed = {name: self._change_timeout(name) for name in evenly(names, self.wishes.sample)}
        marks, began = self._marks(), time.monotonic()
        self.process.start()
        ready = self._await_first_passes(marks, Start(len(names), changed, (), ()), began)
        seconds, calls = time.monotonic() - began, counted(self._since(marks)[1])
        self._await_quiet()
        writes = audit_log.writes(self._since(marks)[0])
        asked = len(changed) if self.implementation.name == OPERATOR else 0
        return {"resources": len(names), "seconds_to_readyz": ready, "seconds_to_first_pass_of_all": round(seconds, 1),
                "list_pages": pages(calls), "gets": calls[f"GET {ITEM}"], "remote_calls": calls,
                "writes": writes.total() - asked, "writes_with_those_asked_for": writes,
                "cpu_seconds": round(self.process.cpu_seconds(), 2), "memory_mb": self.process.memory()}

    # --- how ------------------------------------------------------------------------------------------------------

    def _await_ready(self, wanted: Sequence[Object], since: int) -> None:
        """Wait until the API server has all of them as Ready."""
        missing = set(workload.names_of(wanted))

        def look() -> bool:
            nonlocal since
            self.process.require_life()
            now = self.rig.audit.read()
            missing.difference_update(audit_log.first_ready(self.rig.audit.requests[since:now]))
            since = now
            return not missing

        until(look, self.wishes.patience, every=LOOK)

    def _await_quiet(self) -> None:
        """Wait until nothing was written for a while."""
        last, seen = time.monotonic(), self.rig.audit.read()
        while time.monotonic() - last < self.wishes.quiet:
            time.sleep(LOOK)
            now = self.rig.audit.read()
            if any(one.wrote for one in self.rig.audit.requests[seen:now]):
                last = time.monotonic()
            seen = now

    def _await_first_passes(self, marks: tuple[int, int], start: Start, began: float) -> float | None:
        """Wait until every resource had its first pass; returns the seconds until /readyz answered 200, or None."""
        ready: float | None = None

        def look() -> bool:
            nonlocal ready
            self.process.require_life()
            if ready is None and self.implementation.readyz and self.process.is_ready():
                ready = round(time.monotonic() - began, 1)
            audited, remote = self._since(marks)
            now = Start(start.size, start.changed, audited, remote)
            return self.implementation.has_passed(now) and (ready is not None or not self.implementation.readyz)

        until(look, self.wishes.patience, every=LOOK)
        return ready

    def _change_timeout(self, name: str) -> int:
        """Change the timeout of an AgentBuild that has ended; returns the new generation."""
        changed = self.rig.api.patch("AgentBuild", name, {"spec": {"timeout": OTHER_TIMEOUT}}, NAMESPACE)
        return int(changed["metadata"]["generation"])

    def _set_poll_interval(self, seconds: int) -> None:
        """Set pollInterval, and wait until the naive poller too has read the account again."""
        workload.set_account(self.rig.api, self.rig.simulator.address, self.wishes.rate, seconds)
        time.sleep(ACCOUNT_REREAD + 1)

    def _late_by(self, wanted: Sequence[Object], audited: Sequence[AuditedRequest]) -> list[float]:
        """For each of them, the seconds from the end of its remote build to Ready in the API server."""
        ready, ids, names = audit_log.first_ready(audited), workload.build_ids(self.rig.api), workload.names_of(wanted)
        ends = {name: datetime.fromisoformat(self.rig.remote.succeeded[ids[name]]) for name in names}
        return [(ready[name] - ends[name]).total_seconds() for name in names]

    def _marks(self) -> tuple[int, int]:
        """How many requests and remote calls there were so far."""
        return self.rig.audit.read(), self.rig.remote.read()

    def _since(self, marks: tuple[int, int]) -> tuple[list[AuditedRequest], list[RemoteCall]]:
        """The requests and remote calls since then."""
        self._marks()
        return self.rig.audit.requests[marks[0]:], self.rig.remote.calls[marks[1]:]

    def _per_life(self, amount: float) -> float:
        return round(amount / self.wishes.size, 2)

    def _say(self, phase: str) -> None:
        line = f"{time.strftime('%H:%M:%S')} {self.implementation.name}, {self.wishes.size}: {phase}"
        print(line, file=sys.stderr, flush=True)


def counted(calls: Sequence[RemoteCall]) -> Counter[str]:
    """The calls by method and template."""
    return Counter(f"{one.method} {one.template}" for one in calls)


def pages(calls: Counter[str]) -> int:
    """How many of the calls read a page of a list."""
    return sum(count for what, count in calls.items() if what in LISTS)
