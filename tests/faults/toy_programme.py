"""A programme in which nothing is started: what test_resumable_run.py runs, in its own process or in one to be killed.

`python -m tests.faults.toy_programme FOLDER PART AFTER`: run the part, and be killed after so many batches.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.programme.batches import Batch
from tests.faults.programme.kept_outcomes import KeptOutcomes
from tests.faults.programme.parts import WHOLE, Part
from tests.faults.programme.plans import Outcome, Scale
from tests.faults.programme.report import Report
from tests.faults.programme.resumable_run import News, Programme, ResumableRun
from tests.faults.programme.workers import Finished, recording_of
from tests.faults.scenarios.reference import Reference

from agentex_testkit.fault_proxy.calls import Call
from agentex_testkit.judge.findings import Finding, Harm

SCENARIOS = ("first", "second")
CREATE = Call.parse("remote POST /v5/builds #1")
REFERENCE = Reference((CREATE,), {"AgentBuild quote": {"phase": "Ready"}}, creates=1, removals=0)
RIGHT = ("agentex.scale.com", "agentbuilds", "list")
LEAK = Finding("I8", "is gone, and ['b-1'] live on", Harm.LEAKED)


def batches(references: Mapping[str, Reference]) -> list[Batch]:
    """Eight plans by themselves for each reference, and a batch of three."""
    single = [Batch("crash", (f"crash/{name}/{CREATE}/{phase}",)) for name in references
              for phase in ("pre", "mid", "post", "ack", "bytes=0", "bytes=1", "lines=0", "lines=1")]
    return [*single, Batch("fuzz", ("fuzz/AgentBuild/seed-0", "fuzz/AgentBuild/seed-1", "fuzz/AgentBuild/seed-2"))]


@dataclass
class ToyPool:
    """Says that every plan ended well, except those with findings; `killed_after` so many batches, SIGKILL."""

    findings: Mapping[str, Finding] = field(default_factory=dict)
    killed_after: int | None = None
    recorded: list[str] = field(default_factory=list)
    ran: list[Batch] = field(default_factory=list)
    opened: int = 0

    @contextmanager
    def open(self) -> Iterator[tuple[ToyPool, Callable[[], News]]]:
        """The pool itself, and an audit log in which the same right is news each time."""
        self.opened += 1
        yield self, lambda: (frozenset({RIGHT}), frozenset())

    def use_references(self, references: Mapping[str, Reference]) -> None:
        """Every scenario has been recorded by now."""
        assert set(references) == set(SCENARIOS)

    def record_references(self, scenarios: Iterable[str]) -> Iterator[Finished]:
        """The same reference for each."""
        for name in scenarios:
            self.recorded.append(name)
            yield Finished(recording_of(name), (Outcome(f"learn/{name}"),), reference=REFERENCE)

    def run(self, batches: Iterable[Batch]) -> Iterator[Finished]:
        """Each in turn."""
        for batch in batches:
            if len(self.ran) == self.killed_after:
                os.kill(os.getpid(), signal.SIGKILL)
            self.ran.append(batch)
            found = [Outcome(plan, (self.findings[plan],) if plan in self.findings else ()) for plan in batch.plans]
            yield Finished(batch, tuple(found), frozenset({CREATE}))


def run(folder: Path, pool: ToyPool, out: Report, part: Part = WHOLE) -> None:
    """Run this part with the pool."""
    ResumableRun(Programme(SCENARIOS, batches), KeptOutcomes(folder), part, Scale(), out, 2, pool.open).run()


if __name__ == "__main__":
    run(Path(sys.argv[1]), ToyPool(killed_after=int(sys.argv[3])), Report(sys.stdout), Part.parse(sys.argv[2]))
