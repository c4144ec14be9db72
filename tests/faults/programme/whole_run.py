"""What is judged over a whole run: the number of plans, the operator's rights, and the coverage of call sites."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.faults.programme import rbac_audit
from tests.faults.programme.control_plane import AUDIT_LOG
from tests.faults.programme.plans import Outcome, Scale
from tests.faults.runner.runner import ClusterAccess
from tests.faults.scenarios.crash import uncovered

from agentex_testkit.fault_proxy.calls import Call
from agentex_testkit.judge.findings import Finding, Harm

MINIMA = {"crash/": 350, "views/": 150, "remote/": 300, "hostile/ssrf/": 60, "hostile/archive/": 40,
         "hostile/yaml/": 15, "fuzz/": 5_000}  # plans that a whole run has
MINIMA_IN_FULL = MINIMA | {"doubles/": 2_000}


def after(access: ClusterAccess, scale: Scale, ran: Sequence[str]) -> Iterator[Outcome]:
    """What is judged over a whole run: that it was whole, the operator's rights, and that it was killed wherever it
    calls anything. `ran`: the plans that came to pass.
    """
    few = [Finding("-", f"only {number} plans of {sort}*, of {least}", Harm.OTHER)
           for sort, least in (MINIMA_IN_FULL if scale.full else MINIMA).items()
           if (number := sum(plan.startswith(sort) for plan in ran)) < least]
    yield Outcome("after/whole", tuple(few))
    audit = access.folder / AUDIT_LOG
    yield Outcome("after/rights", (*rbac_audit.forbidden(audit), *rbac_audit.unused(audit)))
    faults = [Finding("-", f"no plan kills the operator at: {one}", Harm.OTHER)
              for one in uncovered(ran, calls_seen(access.folder))]
    yield Outcome("after/coverage", tuple(faults))


def calls_seen(folder: Path) -> set[Call]:
    """Every sort of call that any operator of this run made, as the directors wrote them down."""
    return {Call.parse(line) for path in folder.glob("*/calls.txt") for line in path.read_text().splitlines()}
