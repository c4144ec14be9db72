"""Report a run: progress, every finding with the command that runs its plan again, and the closing line."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from typing import TextIO

from tests.faults.programme.plans import Outcome

from agentex_testkit.judge.findings import Harm

EVERY = 15.0  # seconds between lines of progress
COUNTED = (Harm.DUPLICATED, Harm.LEAKED, Harm.WRONGLY_DELETED, Harm.STUCK)


class Report:
    """Counts outcomes, and writes about them."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self.plans: Counter[str] = Counter()
        self.missed: list[str] = []
        self.harms: Counter[Harm] = Counter()
        self._began = self._spoke = time.monotonic()

    def add(self, *outcomes: Outcome) -> None:
        """Count these, and write about those with findings."""
        for one in outcomes:
            self._count(one)
        if time.monotonic() > self._spoke + EVERY:
            self._spoke = time.monotonic()
            self.say(f"{self._spoke - self._began:6.0f} s: {self.total} plans, {sum(self.harms.values())} findings")

    def say(self, line: str) -> None:
        """Write a line, at once."""
        self._out.write(line + "\n")
        self._out.flush()

    def close(self, seconds: float | None = None) -> None:
        """Write the sums and the closing line; `seconds`: how long it took, if not since this report began."""
        for family, number in self.plans.items():
            self.say(f"{family}: {number} plans")
        for plan in self.missed:
            self.say(f"not reached in this run: {plan}")
        took = time.monotonic() - self._began if seconds is None else seconds
        self.say(f"{self.harms[Harm.OTHER]} promises otherwise broken, in {took:.0f} s")
        self.say(self.line)

    @property
    def total(self) -> int:
        """How many plans ran."""
        return sum(self.plans.values())

    @property
    def line(self) -> str:
        """The closing line."""
        return f"faults: {self.total} plans, " + ", ".join(f"{self.harms[harm]} {harm.value}" for harm in COUNTED)

    @property
    def status(self) -> int:
        """The exit status: 1 where anything is broken."""
        return int(sum(self.harms.values()) > 0)

    def _count(self, one: Outcome) -> None:
        if not one.reached and not one.findings:
            self.missed.append(one.plan)
            return
        self.plans[one.plan.partition("/")[0]] += 1
        self.harms.update({finding.harm for finding in one.findings})  # a plan counts once for each harm
        if one.findings:
            self.say(described(one))


def described(one: Outcome) -> str:
    """A plan's findings, and the command that runs the plan again."""
    findings = "".join(f"   {finding.harm.value}: {finding}\n" for finding in one.findings)
    log = f"   the operator's log: {one.log}\n" if one.log else ""
    return f"{one.plan}\n{findings}{log}   .venv/bin/python -m tests.faults --replay {shlex.quote(one.plan)}\n"
