"""Rows of the matrix that need a world of their own: rotated keys, long pauses, stalls, clocks, accounts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from tests.faults.remote.case import ON_ITS_WAY, RemoteCase
from tests.faults.remote.scheduler import RestartOperator, Steps, require
from tests.faults.remote.targets import InjectedFault, ReachCall, a_resource, ends_well, posts, preview

from agentex_testkit.api_server import condition, ready
from agentex_testkit.builders import a_secret, an_image
from agentex_testkit.cluster_fixture import ClusterFixture

NamedCase = tuple[str, str, Callable[[RemoteCase], Steps], str]  # name, kind, steps, setting
ReachCalls = Mapping[str, tuple[str, ReachCall]]
UNAUTHORIZED = {"kind": "unauthorized"}
HOUR = 3600
CLOCKS = {"clock-ahead": HOUR, "clock-behind": -HOUR}
JUMPS = {"clock-jumps-ahead": HOUR, "clock-jumps-back": -HOUR}
KINDS = {"build": "AgentBuild", "deployment": "AgentDeployment", "preview": "AgentDeployment"}


def prepare(setting: str, world: ClusterFixture) -> None:
    """Set up what a setting has from the beginning."""
    if setting in CLOCKS:
        world.simulator.fault("clock-skew", seconds=CLOCKS[setting])


def cases(reached_by: ReachCalls) -> Iterator[NamedCase]:
    """All cases; `reached_by`: the kind and how to get to the call, by the call."""
    for at, (kind, reach) in reached_by.items():
        rotated = InjectedFault(UNAUTHORIZED, healed=True, remedy=rotates_the_key)
        yield f"401-until-the-key-is-rotated/{at}/for-a-while", kind, partial(reach, injected=rotated), "usual"
        yield f"401-until-it-is-probed/{at}/once", kind, _patient(reach, InjectedFault(UNAUTHORIZED)), "refused"
        for words, pause in PAUSES.items():
            held = InjectedFault({"kind": "throttle", **pause}, remedy=outlives_the_pause)
            yield f"{words}/{at}/once", kind, partial(reach, injected=held), "held"
        stalled = InjectedFault({"kind": "slow", "chunk": 1, "chunk_delay": 1.0}, remedy=lets_others_go_on)
        yield f"a-byte-per-second/{at}/once", kind, _patient(reach, stalled), "stalled"
    yield from _clocks()
    yield from _accounts()


PAUSES: Mapping[str, Mapping[str, Any]] = {"429-for-a-day": {"retry_after": "86400"}, "429-until-tomorrow": {
    "until": 86_400}}


def _patient(reach: ReachCall, injected: InjectedFault) -> Callable[[RemoteCase], Steps]:
    """The case with time for the operator's slowest timers: a minute to the next probe, a minute for a call."""

    def steps(case: RemoteCase) -> Steps:
        case.patience, case.image = 150.0, True
        return (yield from reach(case, injected))

    return steps


# --- remedies -------------------------------------------------------------------------------------------------------


def rotates_the_key(case: RemoteCase, fault: str) -> Steps:
    """Nothing is given up while the key is wrong; a new key in the Secret solves it."""
    yield case.passes(2)
    case.world.simulator.set_keys(case.account, f"{case.key}-2")
    case.remove_faults(fault)
    case.apply(a_secret(case.name, f"{case.key}-2"))


def outlives_the_pause(case: RemoteCase, fault: str) -> Steps:
    """The account is not called during the pause; an operator that was restarted calls it once."""
    yield case.passes(2 * ON_ITS_WAY)
    calls = case.calls()
    (said,) = [call["elapsed"] + call["seconds"] for call in calls if call["status"] == 429]
    early = [call["path"] for call in calls if call["elapsed"] > said + ON_ITS_WAY]
    require(not early, "I12", f"called before a Retry-After of a day was over: {early}")
    case.remove_faults(fault)
    yield RestartOperator()


def lets_others_go_on(case: RemoteCase, _fault: str) -> Steps:
    """I13: while the call hangs, a resource of another account is created and becomes Ready."""
    beside = f"{case.name[:40]}-beside"
    case.world.apply(an_image(beside))
    yield case.until("a resource of another account is Ready",
                      lambda: ready(case.scheduler.snapshot.resources.get(("AgentBuild", beside))), 20)


# --- clocks ---------------------------------------------------------------------------------------------------------


def _clocks() -> Iterator[NamedCase]:
    for noun, kind in KINDS.items():
        for setting in CLOCKS:
            for words, fault in AT_ODDS.items():
                yield f"{setting}/{noun}/{words}", kind, partial(at_another_time, noun=noun, fault=fault), setting
        for setting, seconds in JUMPS.items():
            for words, fault in AT_ODDS.items():
                steps = partial(at_another_time, noun=noun, fault=fault, jump=seconds)
                yield f"{setting}/{noun}/{words}", kind, steps, setting


AT_ODDS: Mapping[str, Mapping[str, Any] | None] = {
    "alone": None,
    "a-lost-answer": {"kind": "commit-then-drop-response"},
    "a-lost-call": {"kind": "drop-before-commit"},
}


def at_another_time(case: RemoteCase, *, noun: str, fault: Mapping[str, Any] | None, jump: int = 0) -> Steps:
    """The remote clock is an hour off, or jumps by one: no order, age or timeout depends on it."""
    case.open()
    if fault:
        case.inject(match=posts(case.kind), **fault)
    resource = preview(case) if noun == "preview" else a_resource(case)
    case.apply(*resource)
    yield case.until("something remote", lambda: case.remotes)
    if jump:
        case.scheduler.once("jump", lambda: case.world.simulator.fault("clock-skew", seconds=jump))
    yield from ends_well(case, InjectedFault({}))


# --- accounts -------------------------------------------------------------------------------------------------------


def _accounts() -> Iterator[NamedCase]:
    for noun in ("build", "deployment"):
        kind = KINDS[noun]
        yield f"another-account/{noun}/for-a-while", kind, another_account, "usual"
        yield f"another-account-before-its-deletion/{noun}/for-a-while", kind, another_account_and_deleted, "usual"
        yield f"no-secret/{noun}/for-a-while", kind, no_secret, "usual"
        yield f"no-tls-there/{noun}/for-a-while", kind, no_tls_there, "usual"


def another_account(case: RemoteCase) -> Steps:
    """The account object names another account: the remote object in the first one is neither given up nor repeated."""
    case.open()
    case.apply(*a_resource(case))
    yield case.becomes(ready, "Ready")
    case.open(account=f"{case.account}-2")
    yield case.until("that its account is another now", lambda: _says(case, "AccountChanged"))
    case.open()
    yield from ends_well(case, InjectedFault({}))


def another_account_and_deleted(case: RemoteCase) -> Steps:
    """Deleted while its account object names another account: the finalizer stays while the object lives."""
    case.open()
    case.apply(*(preview(case) if case.kind == "AgentDeployment" else a_resource(case)))
    yield case.until("something remote on record", lambda: case.remote_id)
    case.open(account=f"{case.account}-2")
    case.delete()
    yield case.passes(3)
    alive = [one["id"] for one in case.remotes if one["status"] not in ("deleted", "cancelled", "success")]
    require(case.resource or not alive, "I8", f"it went, and {alive} is alive in its account")
    case.open()
    yield from case.leaves()


def _says(case: RemoteCase, *reasons: str) -> bool:
    return condition(case.resource, "Ready").get("reason") in reasons


def no_secret(case: RemoteCase) -> Steps:
    """The Secret is deleted and comes back: nothing is given up."""
    case.open()
    case.apply(*a_resource(case))
    yield case.becomes(ready, "Ready")
    case.world.delete("Secret", case.name)
    yield case.passes(4)
    case.apply(a_secret(case.name, case.key))
    yield from ends_well(case, InjectedFault({}))


def no_tls_there(case: RemoteCase) -> Steps:
    """The server at the endpoint speaks no TLS: the account says so, and the right endpoint solves it."""
    case.open(endpoint=f"https://{case.scheduler.elsewhere.host}")
    case.apply(*a_resource(case))
    yield case.until("that nobody answers", lambda: _says(case, "AccountNotReady", "RemoteUnavailable"))
    case.open()
    yield from ends_well(case, InjectedFault({}))
