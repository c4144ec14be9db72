"""The load family: many at once, nothing to do, constant change, outages, one that always fails, restarts without end.

Figures are printed, never judged; what is bounded is counted in calls and objects. A wait that ends in vain is stuck.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tests.faults.bench import Bench, bugs
from tests.faults.load_rig import RATE, Rig, busiest_second, registered
from tests.faults.plans import Ended, Scale

from agentex_testkit.builders import a_secret
from agentex_testkit.judge.findings import Finding, Harm

MUTATING_CALLS = 4      # per resource, at most (reliability.md §2e)
Found = Iterator[Finding]
Figures = dict[str, Any]


# --- L1, L2 ---------------------------------------------------------------------------------------------------------


def many_at_once(rig: Rig, count: int, figures: Figures) -> Found:
    """L1: all of them converge, with at most four mutating remote calls each."""
    began = time.monotonic()
    rig.gather(count)
    figures["seconds to apply"] = round(time.monotonic() - began, 1)
    yield from rig.await_ready(seconds=120 + count)
    figures["seconds to all Ready"] = round(time.monotonic() - began, 1)
    mutating = [one for one in rig.calls() if one["method"] != "GET"]
    figures["mutating calls"], figures["memory"] = len(mutating), rig.memory()
    if len(mutating) > MUTATING_CALLS * count:
        yield Finding("I2", f"{len(mutating)} mutating calls for {count} resources", Harm.DUPLICATED)
    yield from rig.judged()


def steady(rig: Rig, count: int, figures: Figures, seconds: float = 15) -> Found:
    """L2: while nothing changes nothing is written, lists are as planned, and nobody asks for one record."""
    if not rig.resources():
        rig.gather(count)
        yield from rig.await_ready(seconds=120 + count)
    yield from rig.quiet()
    before, versions, seen = rig.written(), _versions(rig), len(rig.calls())
    time.sleep(seconds)
    asked = Counter(f"{one['method']} {one['template']}" for one in rig.calls(seen))
    figures["calls at rest"], figures["memory"] = dict(asked), rig.memory()
    if rig.written() != before or _versions(rig) != versions:
        yield Finding("I11", f"something was written while nothing changed: {rig.world.last_written()}", Harm.OTHER)
    pages = -(-count // 1000) + 1
    planned = {"GET /v5/builds": 2 * pages * (seconds / 5 + 2),  # the listings, and the account's probes
               "GET /v5/agentex/deployments": pages * (seconds / 3 + 2)}
    for call, times in asked.items():
        if times > planned.get(call, 0):
            yield Finding("I12", f"{times} times {call} in {seconds:.0f} s of rest", Harm.OTHER)


def _versions(rig: Rig) -> dict[str, str]:
    return {one["metadata"]["uid"]: one["metadata"]["resourceVersion"] for one in rig.resources()}


# --- L3 -------------------------------------------------------------------------------------------------------------

SOME_OF_EACH: tuple[dict[str, Any], ...] = (
    {"kind": "status", "status": 500}, {"kind": "status", "status": 503}, {"kind": "html-502"},
    {"kind": "throttle", "retry_after": "1"}, {"kind": "drop-before-commit"}, {"kind": "truncated"},
    {"kind": "drop-before-commit", "after_body": True}, {"kind": "commit-then-drop-response"},
    {"kind": "commit-then-500"}, {"kind": "empty-body"}, {"kind": "wrong-content-length"},
    {"kind": "stale-list", "seconds": 0.5}, {"kind": "id", "missing": True}, {"kind": "slow", "header_delay": 0.3},
)


def churn(rig: Rig, seconds: float, figures: Figures) -> Found:
    """L3: created, edited and deleted all the time, with one in a hundred of each fault: in the end all is well."""
    dice = random.Random(3)  # noqa: S311 - the same every time
    end, number, gone_by = time.monotonic() + seconds, 0, set()
    seen = len(rig.calls())
    while time.monotonic() < end:
        _one_change(rig, dice, number, gone_by)
        number += 1
        for _ in range(dice.randint(0, 1)):
            fault = dict(dice.choice(SOME_OF_EACH))
            rig.bench.simulator.fault(fault.pop("kind"), match={"account": "acct-1"}, nth=dice.randint(1, 8), **fault)
        time.sleep(0.15)
    fired = sum(one["fired"] for one in rig.bench.simulator.faults())
    rig.bench.simulator.clear_faults()
    figures |= {"changes": number, "faults": fired, "calls": len(rig.calls()) - seen, "memory": rig.memory()}
    yield from rig.await_ready()
    yield from rig.quiet()
    yield from rig.judged()


def _one_change(rig: Rig, dice: random.Random, number: int, gone_by: set[str]) -> None:
    """A new one; now and then an edit of another, or its end."""
    name, earlier = f"churned-{number}", f"churned-{dice.randint(0, max(number - 1, 0))}"
    rig.apply(registered(name))
    if earlier in gone_by or earlier == name:
        return
    if dice.random() < 0.4:
        gone_by.add(earlier)
        rig.world.delete("AgentBuild", earlier)
    elif dice.random() < 0.6:
        rig.apply(registered(earlier, tag=number))


# --- L4 -------------------------------------------------------------------------------------------------------------


def outages(rig: Rig, seconds: float, figures: Figures) -> Found:
    """L4: the remote is out for a while, then the API server: both come back to no herd, and nobody starves."""
    rig.gather(30, "before")
    time.sleep(1)
    out = rig.bench.simulator.fault("outage", mode="rst", match={"account": "acct-1"}, forever=True)
    rig.gather(30, "during")
    time.sleep(seconds)
    seen = len(rig.calls())
    rig.bench.simulator.clear_faults(out)
    began = time.monotonic()
    yield from rig.await_ready()
    figures["seconds to recover from the remote's outage"] = round(time.monotonic() - began, 1)
    yield from _no_herd(rig, seen, figures, "after the remote's outage")
    yield from _without_the_api_server(rig, seconds, figures)
    yield from rig.judged()


def _without_the_api_server(rig: Rig, seconds: float, figures: Figures) -> Found:
    seen, deaths = len(rig.calls()), rig.keeper.deaths
    rig.wire.cut()
    for number in (0, 1, 2):
        rig.apply(registered(f"before-{number}", tag=2))
    rig.gather(20, "cut-off")
    time.sleep(seconds)
    rig.wire.mend()
    began = time.monotonic()
    yield from rig.await_ready()
    figures["seconds to recover from the API server's"] = round(time.monotonic() - began, 1)
    figures["ends of the operator"] = rig.keeper.deaths - deaths
    yield from _no_herd(rig, seen, figures, "after the API server's outage")


def _no_herd(rig: Rig, seen: int, figures: Figures, when: str) -> Found:
    busiest = busiest_second(rig.calls(seen))
    figures[f"busiest second {when}"] = busiest
    if busiest > 2 * RATE + 5:  # a burst of a second's worth, and a second's worth
        yield Finding("I12", f"{busiest} calls within a second {when}, of {RATE} allowed", Harm.OTHER)


# --- L5, L7 ---------------------------------------------------------------------------------------------------------


def one_that_fails(rig: Rig, count: int, seconds: float, figures: Figures) -> Found:
    """L5: its neighbours in the account, and everybody else, are as well as ever; it is tried at a decent rate."""
    rig.bench.simulator.set_keys("acct-bad", "key-bad")
    rig.world.apply(a_secret("bad", "key-bad"))
    rig.open_account("bad", "acct-bad", "bad")
    rig.bench.simulator.fault("status", status=500, match={"account": "acct-bad"}, forever=True)
    rig.bench.simulator.fault("status", status=500, match={"method": "POST", "account": "acct-1"}, nth=1, count=1)
    rig.apply(registered("ill", accountRef={"name": "bad"}))
    rig.gather(count, "well")
    yield from rig.await_ready(but=["ill"])
    seen = len(rig.calls())
    time.sleep(seconds)
    bad = [one for one in rig.calls(seen) if one["account"] == "acct-bad"]
    figures["calls of the one that fails"] = f"{len(bad)} in {seconds:.0f} s"
    if len(bad) > 4 * seconds:
        yield Finding("I12", f"{len(bad)} calls of an account that fails, in {seconds:.0f} s", Harm.OTHER)
    rig.bench.simulator.clear_faults()
    yield from rig.await_ready()
    yield from rig.judged()


def restart_storm(rig: Rig, count: int, seconds: float, figures: Figures) -> Found:
    """L7: killed again and again while everybody converges; in the end there is one of everything."""
    dice = random.Random(7)  # noqa: S311 - the same every time
    end, kills = time.monotonic() + seconds, 0
    rig.gather(count, "stormy")
    while time.monotonic() < end:
        time.sleep(dice.uniform(1, 3))
        rig.keeper.strike()
        kills += 1
    figures["kills"] = kills
    began = time.monotonic()
    yield from rig.await_ready()
    figures["seconds to all Ready"] = round(time.monotonic() - began, 1)
    yield from rig.quiet()
    yield from rig.judged()


# --- the family -----------------------------------------------------------------------------------------------------

Play = Callable[[Rig, Figures], Found]
PLANS: dict[str, Play] = {
    "load/L1": lambda rig, figures: many_at_once(rig, 250, figures),
    "load/L1-1000": lambda rig, figures: many_at_once(rig, 1000, figures),
    "load/L2": lambda rig, figures: steady(rig, 250, figures),
    "load/L2-1000": lambda rig, figures: steady(rig, 1000, figures),
    "load/L3": lambda rig, figures: churn(rig, 40, figures),
    "load/L4": lambda rig, figures: outages(rig, 20, figures),
    "load/L5": lambda rig, figures: one_that_fails(rig, 40, 15, figures),
    "load/L5-small": lambda rig, figures: one_that_fails(rig, 5, 4, figures),
    "load/L7": lambda rig, figures: restart_storm(rig, 30, 30, figures),
    "load/L7-small": lambda rig, figures: restart_storm(rig, 6, 5, figures),
}
USUAL = (("load/L1", "load/L2"), ("load/L3",), ("load/L4",), ("load/L5",), ("load/L7",))
FULL = (("load/L1-1000", "load/L2-1000"), *USUAL[1:])
SMALL = (("load/L5-small",), ("load/L7-small",))


class Load:
    """One plan per scenario; L2 looks on at what L1 gathered."""

    name = "load"

    def batches(self, scale: Scale) -> Iterable[Sequence[str]]:
        return SMALL if scale.gate else FULL if scale.full else USUAL

    def run(self, bench: Bench, plans: Sequence[str]) -> Iterable[Ended]:
        with Rig(bench) as rig:
            for number, plan in enumerate(plans):
                figures: Figures = {}
                found = list(PLANS[plan](rig, figures))
                if number == len(plans) - 1:
                    found += [*rig.cleared(), *bench.spilled(), *bugs(rig.operator.log)]
                print(f"{plan}: {figures}", flush=True)  # noqa: T201 - figures are for people
                yield Ended(plan, tuple(dict.fromkeys(found)))

