"""Report a run: progress, every finding with the command that runs its plan again, and the closing line."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from typing import TextIO

from tests.faults.programme.plans import Outcome

from agentex_testkit.judge.findings import Harm

EVERY = 15.0  # seconds between signs of life
COUNTED = (Harm.DUPLICATED, Harm.LEAKED, Harm.WRONGLY_DELETED, Harm.STUCK)


class Report:
    """Collects how plans outcomes, and says so."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self.plans: Counter[str] = Counter()
        self.missed: list[str] = []
        self.harms: Counter[Harm] = Counter()
        self._began = self._spoke = time.monotonic()

    def add(self, *outcomes: Outcome) -> None:
        """Count these."""
        for one in outcomes:
            self._count(one)
        if time.monotonic() > self._spoke + EVERY:
            self._spoke = time.monotonic()
            self._say(f"{self._spoke - self._began:6.0f} s: {self.total} plans, {sum(self.harms.values())} findings")

    def close(self) -> None:
        """Say the sums, and the last line."""
        for family, number in self.plans.items():
            self._say(f"{family}: {number} plans")
        for plan in self.missed:
            self._say(f"not reached in this run: {plan}")
        self._say(f"{self.harms[Harm.OTHER]} promises otherwise broken, in {time.monotonic() - self._began:.0f} s")
        self._say(self.line)

    @property
    def total(self) -> int:
        """How many plans ran."""
        return sum(self.plans.values())

    @property
    def line(self) -> str:
        """The last line of a run."""
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
            self._say(described(one))

    def _say(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()


def described(one: Outcome) -> str:
    """A plan's findings, and how to see them again."""
    findings = "".join(f"   {finding.harm.value}: {finding}\n" for finding in one.findings)
    log = f"   the operator's log: {one.log}\n" if one.log else ""
    return f"{one.plan}\n{findings}{log}   .venv/bin/python -m tests.faults --replay {shlex.quote(one.plan)}\n"
