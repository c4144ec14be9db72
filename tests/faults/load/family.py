"""The load family: many resources at once, rest, churn, outages, an account that always fails, repeated restarts.

Figures are printed and not judged; only calls and objects are bounded. A wait that times out is a finding (stuck).
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tests.faults.load.setup import RATE, LoadSetup, busiest_second, registered
from tests.faults.programme.plans import Outcome, Scale
from tests.faults.runner import operator_log
from tests.faults.runner.runner import Runner

from agentex_testkit.builders import a_secret
from agentex_testkit.judge.findings import Finding, Harm

MUTATING_CALLS = 4      # per resource, at most (reliability.md §2e)
Found = Iterator[Finding]
Figures = dict[str, Any]


# --- L1, L2 ---------------------------------------------------------------------------------------------------------


def many_at_once(setup: LoadSetup, count: int, figures: Figures) -> Found:
    """L1: all resources become Ready, with at most four mutating remote calls each."""
    began = time.monotonic()
    setup.gather(count)
    figures["seconds to apply"] = round(time.monotonic() - began, 1)
    yield from setup.await_ready(seconds=120 + count)
    figures["seconds to all Ready"] = round(time.monotonic() - began, 1)
    mutating = [one for one in setup.calls() if one["method"] != "GET"]
    figures["mutating calls"], figures["memory"] = len(mutating), setup.memory()
    if len(mutating) > MUTATING_CALLS * count:
        yield Finding("I2", f"{len(mutating)} mutating calls for {count} resources", Harm.DUPLICATED)
    yield from setup.judged()


def steady(setup: LoadSetup, count: int, figures: Figures, seconds: float = 15) -> Found:
    """L2: at rest nothing is written, lists are as often as planned, and no single record is read."""
    if not setup.resources():
        setup.gather(count)
        yield from setup.await_ready(seconds=120 + count)
    yield from setup.quiet()
    before, versions, seen = setup.written(), _versions(setup), len(setup.calls())
    time.sleep(seconds)
    asked = Counter(f"{one['method']} {one['template']}" for one in setup.calls(seen))
    figures["calls at rest"], figures["memory"] = dict(asked), setup.memory()
    if setup.written() != before or _versions(setup) != versions:
        yield Finding("I11", f"something was written while nothing changed: {setup.world.last_written()}", Harm.OTHER)
    pages = -(-count // 1000) + 1
    planned = {"GET /v5/builds": 2 * pages * (seconds / 5 + 2),  # the listings, and the account's probes
               "GET /v5/agentex/deployments": pages * (seconds / 3 + 2)}
    for call, times in asked.items():
        if times > planned.get(call, 0):
            yield Finding("I12", f"{times} times {call} in {seconds:.0f} s of rest", Harm.OTHER)


def _versions(setup: LoadSetup) -> dict[str, str]:
    return {one["metadata"]["uid"]: one["metadata"]["resourceVersion"] for one in setup.resources()}


# --- L3 -------------------------------------------------------------------------------------------------------------

SOME_OF_EACH: tuple[dict[str, Any], ...] = (
    {"kind": "status", "status": 500}, {"kind": "status", "status": 503}, {"kind": "html-502"},
    {"kind": "throttle", "retry_after": "1"}, {"kind": "drop-before-commit"}, {"kind": "truncated"},
    {"kind": "drop-before-commit", "after_body": True}, {"kind": "commit-then-drop-response"},
    {"kind": "commit-then-500"}, {"kind": "empty-body"}, {"kind": "wrong-content-length"},
    {"kind": "stale-list", "seconds": 0.5}, {"kind": "id", "missing": True}, {"kind": "slow", "header_delay": 0.3},
)


def churn(setup: LoadSetup, seconds: float, figures: Figures) -> Found:
    """L3: resources are created, edited and deleted all the time, with some of each fault; all become Ready in the
    end.
    """
    dice = random.Random(3)  # noqa: S311 - the same every time
    end, number = time.monotonic() + seconds, 0
    gone_by: set[str] = set()
    seen = len(setup.calls())
    while time.monotonic() < end:
        _one_change(setup, dice, number, gone_by)
        number += 1
        for _ in range(dice.randint(0, 1)):
            fault = dict(dice.choice(SOME_OF_EACH))
            kind, match = fault.pop("kind"), {"account": "acct-1"}
            setup.runner.simulator.fault(kind, match=match, nth=dice.randint(1, 8), **fault)
        time.sleep(0.15)
    fired = sum(one["fired"] for one in setup.runner.simulator.faults())
    setup.runner.simulator.clear_faults()
    figures |= {"changes": number, "faults": fired, "calls": len(setup.calls()) - seen, "memory": setup.memory()}
    yield from setup.await_ready()
    yield from setup.quiet()
    yield from setup.judged()


def _one_change(setup: LoadSetup, dice: random.Random, number: int, gone_by: set[str]) -> None:
    """Create one; now and then edit or delete an earlier one."""
    name, earlier = f"churned-{number}", f"churned-{dice.randint(0, max(number - 1, 0))}"
    setup.apply(registered(name))
    if earlier in gone_by or earlier == name:
        return
    if dice.random() < 0.4:
        gone_by.add(earlier)
        setup.world.delete("AgentBuild", earlier)
    elif dice.random() < 0.6:
        setup.apply(registered(earlier, tag=number))


# --- L4 -------------------------------------------------------------------------------------------------------------


def outages(setup: LoadSetup, seconds: float, figures: Figures) -> Found:
    """L4: the remote API is away for a while, then the API server: afterwards the rate is kept, and all become Ready.
    """
    setup.gather(30, "before")
    time.sleep(1)
    out = setup.runner.simulator.fault("outage", mode="rst", match={"account": "acct-1"}, forever=True)
    setup.gather(30, "during")
    time.sleep(seconds)
    seen = len(setup.calls())
    setup.runner.simulator.clear_faults(out)
    began = time.monotonic()
    yield from setup.await_ready()
    figures["seconds to recover from the remote's outage"] = round(time.monotonic() - began, 1)
    yield from _no_herd(setup, seen, figures, "after the remote's outage")
    yield from _without_the_api_server(setup, seconds, figures)
    yield from setup.judged()


def _without_the_api_server(setup: LoadSetup, seconds: float, figures: Figures) -> Found:
    seen, deaths = len(setup.calls()), setup.supervisor.deaths
    setup.tcp_proxy.cut()
    for number in (0, 1, 2):
        setup.apply(registered(f"before-{number}", tag=2))
    setup.gather(20, "cut-off")
    time.sleep(seconds)
    setup.tcp_proxy.mend()
    began = time.monotonic()
    yield from setup.await_ready()
    figures["seconds to recover from the API server's"] = round(time.monotonic() - began, 1)
    figures["ends of the operator"] = setup.supervisor.deaths - deaths
    yield from _no_herd(setup, seen, figures, "after the API server's outage")


def _no_herd(setup: LoadSetup, seen: int, figures: Figures, when: str) -> Found:
    busiest = busiest_second(setup.calls(seen))
    figures[f"busiest second {when}"] = busiest
    if busiest > 2 * RATE + 5:  # a burst of a second's worth, and a second's worth
        yield Finding("I12", f"{busiest} calls within a second {when}, of {RATE} allowed", Harm.OTHER)


# --- L5, L7 ---------------------------------------------------------------------------------------------------------


def one_that_fails(setup: LoadSetup, count: int, seconds: float, figures: Figures) -> Found:
    """L5: an account that always fails is called at a bounded rate, and all other resources become Ready."""
    setup.runner.simulator.set_keys("acct-bad", "key-bad")
    setup.world.apply(a_secret("bad", "key-bad"))
    setup.open_account("bad", "acct-bad", "bad")
    setup.runner.simulator.fault("status", status=500, match={"account": "acct-bad"}, forever=True)
    setup.runner.simulator.fault("status", status=500, match={"method": "POST", "account": "acct-1"}, nth=1, count=1)
    setup.apply(registered("ill", accountRef={"name": "bad"}))
    setup.gather(count, "well")
    yield from setup.await_ready(but=["ill"])
    seen = len(setup.calls())
    time.sleep(seconds)
    bad = [one for one in setup.calls(seen) if one["account"] == "acct-bad"]
    figures["calls of the one that fails"] = f"{len(bad)} in {seconds:.0f} s"
    if len(bad) > 4 * seconds:
        yield Finding("I12", f"{len(bad)} calls of an account that fails, in {seconds:.0f} s", Harm.OTHER)
    setup.runner.simulator.clear_faults()
    yield from setup.await_ready()
    yield from setup.judged()


def restart_storm(setup: LoadSetup, count: int, seconds: float, figures: Figures) -> Found:
    """L7: the operator is killed again and again; in the end there is one remote object for each resource."""
    dice = random.Random(7)  # noqa: S311 - the same every time
    end, kills = time.monotonic() + seconds, 0
    setup.gather(count, "stormy")
    while time.monotonic() < end:
        time.sleep(dice.uniform(1, 3))
        setup.supervisor.kill_now()
        kills += 1
    figures["kills"] = kills
    began = time.monotonic()
    yield from setup.await_ready()
    figures["seconds to all Ready"] = round(time.monotonic() - began, 1)
    yield from setup.quiet()
    yield from setup.judged()


# --- the family -----------------------------------------------------------------------------------------------------

Play = Callable[[LoadSetup, Figures], Found]
PLANS: dict[str, Play] = {
    "load/L1": lambda setup, figures: many_at_once(setup, 250, figures),
    "load/L1-1000": lambda setup, figures: many_at_once(setup, 1000, figures),
    "load/L2": lambda setup, figures: steady(setup, 250, figures),
    "load/L2-1000": lambda setup, figures: steady(setup, 1000, figures),
    "load/L3": lambda setup, figures: churn(setup, 40, figures),
    "load/L4": lambda setup, figures: outages(setup, 20, figures),
    "load/L5": lambda setup, figures: one_that_fails(setup, 40, 15, figures),
    "load/L5-small": lambda setup, figures: one_that_fails(setup, 5, 4, figures),
    "load/L7": lambda setup, figures: restart_storm(setup, 30, 30, figures),
    "load/L7-small": lambda setup, figures: restart_storm(setup, 6, 5, figures),
}
USUAL = (("load/L1", "load/L2"), ("load/L3",), ("load/L4",), ("load/L5",), ("load/L7",))
FULL = (("load/L1-1000", "load/L2-1000"), *USUAL[1:])
SMALL = (("load/L5-small",), ("load/L7-small",))


class Load:
    """The load family: one plan for each load; L2 continues with the resources of L1."""

    name = "load"

    def batches(self, scale: Scale) -> Iterable[Sequence[str]]:
        return SMALL if scale.gate else FULL if scale.full else USUAL

    def run(self, runner: Runner, plans: Sequence[str]) -> Iterable[Outcome]:
        with LoadSetup(runner) as setup:
            for number, plan in enumerate(plans):
                figures: Figures = {}
                found = list(PLANS[plan](setup, figures))
                if number == len(plans) - 1:
                    found += [*setup.cleared(), *runner.leaked_secrets(), *operator_log.errors(setup.operator.log)]
                print(f"{plan}: {figures}", flush=True)  # noqa: T201 - figures are for people
                yield Outcome(plan, tuple(dict.fromkeys(found)))

