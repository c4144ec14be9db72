"""The reference of a scenario: the calls that it makes in every run without faults, and how it ends.

The plans of the crash family and its neighbours are made from the calls; a run with faults must end like the reference
(I24).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.runner.reusable_fixture import ReusableFixture
from tests.faults.runner.runner import Runner
from tests.faults.scenarios.catalogue import SCENARIOS
from tests.faults.scenarios.scenario import Scenario

from agentex_testkit.api_server import Object, eventually, remembered
from agentex_testkit.fault_proxy.calls import Call
from agentex_testkit.fault_proxy.faults import CallFault, WatchFilter
from agentex_testkit.judge.findings import Finding, Harm
from agentex_testkit.ledger import REMOTE, Entry, owner_in

MASKED = re.compile(
    r"[0-9a-f]{12}-[0-9a-f]{8}\d+|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{64}\b|\bsha256:\S+"
    r"|\b(?:build|deploy|agent)[-_][0-9a-zA-Z]+\b|\d{4}-\d\d-\d\dT[0-9:.]+Z|[0-9a-f]{8}\.\d+|127\.0\.0\.1:\d+"
)
UNEQUAL = {  # of a status and of the operator's memory in it, and why it may differ from run to run
    "attempt": "counts creates, of which a lost answer may explain more",
    "unansweredCreateAt": "is there after a lost answer",
    "condemned": "names duplicates until they are gone",
    "removal": "may tell of a duplicate",
    "lastHealthyDeploymentID": "an id",
    "predecessorID": "an id",
    "events": "name the pods of a release, and are as many as were seen",
    "helmReleaseName": "is made of the id",
}
MOVING = ("lastTransitionTime", "observedGeneration", "owner")   # owner: of what was taken over, made of a uid
MOST_NUMBER = 6      # the calls of one site beyond this are the same again


@dataclass(frozen=True)
class Reference:
    """The calls of a scenario that are made in every run, in order, but for those that prepare it; and how it ends."""

    calls: tuple[Call, ...]
    end: dict[str, Any]
    creates: int
    removals: int

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return {**vars(self), "calls": [str(call) for call in self.calls]}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Reference:
        """From plain values."""
        return cls(**{**found, "calls": tuple(Call.parse(text) for text in found["calls"])})


def record_reference(runner: Runner, name: str) -> tuple[Reference, tuple[Finding, ...]]:
    """Run a scenario twice without faults: what is common to both runs, and the findings."""
    (first, wrong), (second, also_wrong) = run_once(runner, name), run_once(runner, name)
    calls = tuple(call for call in first.calls if call in set(second.calls) and call.number <= MOST_NUMBER)
    unlike = () if first.end == second.end else (Finding("I24", unlike_each_other(first.end, second.end), Harm.OTHER),)
    return Reference(calls, first.end, first.creates, first.removals), (*wrong, *also_wrong, *unlike)


def run_once(runner: Runner, name: str) -> tuple[Reference, tuple[Finding, ...]]:
    """Run a scenario without faults."""
    world = runner.reset()
    stuck = run_and_settle(runner, world, name)
    planned = tuple(runner.proxy.trace[runner.prepared:])
    reference = Reference(planned, end_of(world, SCENARIOS[name]), creates(world), removals(world))
    return reference, (*stuck, *runner.unexpected_exits(), *runner.finish())


def run_with_faults(runner: Runner, name: str, found: Reference, *lives: Sequence[CallFault],
                    watch_filter: WatchFilter | None = None, late: float = 0) -> tuple[Finding, ...]:
    """Run a scenario with faults, from an empty world to an empty world: the findings."""
    world = runner.reset(*lives, watch_filter=watch_filter)
    stuck = run_and_settle(runner, world, name, late)
    unlike = () if stuck else differences(world, SCENARIOS[name], found, runner.ambiguous())
    return (*stuck, *unlike, *runner.unexpected_exits(), *runner.finish())


def run_and_settle(runner: Runner, world: ReusableFixture, name: str, late: float = 0) -> tuple[Finding, ...]:
    """Run the scenario and wait for rest, `late` seconds longer where views are late."""
    runner.never_rests = SCENARIOS[name].never_rests
    stuck = runner.attempt(lambda: SCENARIOS[name].run(world)) or runner.wait_for_rest(late)
    explain(world, name)
    return stuck


def explain(world: ReusableFixture, name: str) -> None:
    """Tell the judge what the scenario explains; an heir creates nothing unless the scenario says so."""
    scenario = SCENARIOS[name]
    for one in world.tracked:
        is_heir = one.inherits or one.may_inherit
        one.creates = scenario.creates.get((one.kind, one.name), 0 if is_heir else 1)
        one.beside = scenario.extra_alive.get((one.kind, one.name), 0)


def save(folder: Path, found: dict[str, Reference]) -> None:
    """Write the references to a file that every worker reads."""
    (folder / "reference.json").write_text(json.dumps({name: one.as_json() for name, one in found.items()}))


def changed(folder: Path) -> int:
    """When the references in the folder were last written; 0 before."""
    path = folder / "reference.json"
    return path.stat().st_mtime_ns if path.exists() else 0


def load(folder: Path) -> dict[str, Reference]:
    """The references in the folder; empty before they are saved."""
    path = folder / "reference.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    return {name: Reference.from_json(found[name]) for name in SCENARIOS if name in found}


# --- how it ends ----------------------------------------------------------------------------------------------------


def end_of(world: ReusableFixture, scenario: Scenario) -> dict[str, Any]:
    """The status of every resource without ids, times and tokens; where retries go on for ever, between two of them."""
    found: dict[str, Any] = {}
    for one in eventually(lambda: list(world.resources()), lambda seen: not (scenario.never_rests and _tries(seen))):
        name = "*" if one["metadata"]["name"] in scenario.rivals else one["metadata"]["name"]
        status: Object = one.get("status") or {}
        found[f"{one['kind']} {name}"] = _plain(_equal(status) | {"operator": _equal(remembered(status))})
    return found


def _equal(members: Object) -> Object:
    return {key: value for key, value in members.items() if key not in UNEQUAL}


def _tries(resources: Iterable[Object]) -> bool:
    return any(remembered(one.get("status") or {}).get("pendingCreate") for one in resources)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items() if key not in MOVING}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return MASKED.sub("*", value) if isinstance(value, str) else value


def creates(world: ReusableFixture) -> int:
    """How many remote objects the operator created."""
    return sum(one["verb"] == "create" for one in _mine(world))


def removals(world: ReusableFixture) -> int:
    """How many remote objects the operator had removed; a repeated request counts once."""
    return len({one["id"] for one in _mine(world) if one["verb"] in ("cancel", "delete")})


def _mine(world: ReusableFixture) -> Iterator[Entry]:
    everything = (one for one in world.simulator.ledger() if one["cause"] == "api" and one["kind"] in REMOTE.values())
    return (one for one in everything if owner_in(one))


def unlike_each_other(one: Any, other: Any) -> str:
    """Where two end states differ."""
    return "; ".join(_differences(one, other, ""))[:1500]


def _differences(one: Any, other: Any, path: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            yield from _differences(one.get(key), other.get(key), f"{path}.{key}")
    elif one != other:
        yield f"{path}: {one!r} and {other!r}"


def differences(
    world: ReusableFixture, scenario: Scenario, reference: Reference, ambiguous: int
) -> tuple[Finding, ...]:
    """I24: the end state is the reference's; more creates and removals are only allowed after lost answers."""
    end, found = end_of(world, scenario), []
    if end != reference.end:
        found.append(Finding("I24", f"ends otherwise: {unlike_each_other(reference.end, end)}", Harm.OTHER))
    if (made := creates(world)) > reference.creates + ambiguous:
        found.append(Finding("I2", f"{made} creates, not {reference.creates}", Harm.DUPLICATED))
    most = reference.removals + max(0, made - reference.creates) + scenario.swept
    if (removed := removals(world)) > most:
        found.append(Finding("I3", f"{removed} removals, not {reference.removals}", Harm.WRONGLY_DELETED))
    return tuple(found)
