"""What is judged over a whole run: the number of plans, the operator's rights, and the coverage of call sites."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tests.faults.programme import rbac_audit
from tests.faults.programme.kept_outcomes import EndedBatch
from tests.faults.programme.plans import Outcome, Scale
from tests.faults.scenarios.crash import uncovered

from agentex_testkit.fault_proxy.calls import Call
from agentex_testkit.judge.findings import Finding, Harm

MINIMA = {"crash/": 350, "views/": 150, "exceptions/": 300, "configmaps/": 200, "undone/": 60, "remote/": 300,
          "hostile/ssrf/": 60, "hostile/archive/": 40, "hostile/yaml/": 15,
          "fuzz/": 5_000}  # plans that a whole run has
MINIMA_IN_FULL = MINIMA | {"doubles/": 2_000}


def checks(kept: Sequence[EndedBatch], scale: Scale) -> Iterator[Outcome]:
    """The outcomes of the checks that need everything of a whole run."""
    ran = [one.plan for ended in kept for one in ended.outcomes if one.reached]
    used = {right for ended in kept for right in ended.used}
    refused = {right for ended in kept for right in ended.forbidden}
    yield Outcome("after/whole", tuple(too_few(ran, MINIMA_IN_FULL if scale.full else MINIMA)))
    yield Outcome("after/rights", (*rbac_audit.forbidden(refused), *rbac_audit.unused(used)))
    yield Outcome("after/coverage", tuple(not_killed_at(ran, {call for ended in kept for call in ended.calls})))


def too_few(ran: Sequence[str], minima: dict[str, int]) -> Iterator[Finding]:
    """A finding for every sort of plans of which fewer came to pass than there must be."""
    for sort, least in minima.items():
        if (number := sum(plan.startswith(sort) for plan in ran)) < least:
            yield Finding("-", f"only {number} plans of {sort}*, of {least}", Harm.OTHER)


def not_killed_at(ran: Iterable[str], calls: Iterable[Call]) -> Iterator[Finding]:
    """A finding for every call site that an operator used, and at which no plan killed it."""
    for site in uncovered(ran, calls):
        yield Finding("-", f"no plan kills the operator at: {site}", Harm.OTHER)
