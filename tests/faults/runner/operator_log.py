"""Find what an operator logged although it should never happen: a traceback, or what is a bug of its own."""

from __future__ import annotations

import re
from itertools import islice

from agentex_testkit.judge.findings import Finding, Harm
from agentex_testkit.thrown_exceptions import TEXT

ERRORS = re.compile(r"Traceback \(most recent call last\)|RulesNeverEnd|unexpected|this is a bug", re.IGNORECASE)
TRACE = 30   # lines of a trace that was written past the log are shown
GIVEN_UP = re.compile(r'"logger":"kopf\._core\.reactor\.running","msg":"[^"]* has failed')
EXPECTED = re.compile(  # what a plan throws; what kopf leaves behind: asyncio logs a task, or a generator of a watch
    TEXT + r'|"logger":"kopf'
    r'|"logger":"asyncio","msg":"[^"]*(/kopf/|<async_generator object (infinite|continuous)_watch )'
)


def errors(*logs: str) -> tuple[Finding, ...]:
    """I19: the first unexpected trace in these logs. Failures of kopf's watch are expected."""
    lines = [line for log in logs for line in log.splitlines()]
    traces = (at for at, line in enumerate(lines) if ERRORS.search(line) and not EXPECTED.search(line))
    said = ("\n".join(lines[at:at + TRACE]) for at in traces)  # what has a line of its own is not said by the log
    return tuple(Finding("I19", f"the log says: {text[:2500]}", Harm.OTHER) for text in islice(said, 1))
