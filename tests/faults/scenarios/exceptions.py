"""The exceptions family: an exception that nobody listed comes out of a call of an adapter, in the operator's process.

    exceptions/build-runs/kube PATCH agentbuilds/quote/status #1/before-KeyError     once, before the call is sent
    exceptions/build-runs/remote POST /v5/builds #1/after-RuntimeError               once, after its answer
    exceptions/build-runs/source STAGE contexts #1/before-MemoryError=3              for 3 seconds, all calls

Each scenario must end as without the exception. In between, the status says InternalError with the reference that the
log has, keeps what was on record, and shows nothing of the exception's text; the passes are tried again with delays.
The names of calls are of agentex_testkit/thrown_exceptions.py. Each method of each adapter, in one process:
tests/reconcile/test_internal_errors.py.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle, islice, pairwise
from typing import Any

from tests.faults.programme.plans import Outcome, Scale
from tests.faults.runner.runner import Runner
from tests.faults.scenarios import reference
from tests.faults.scenarios.catalogue import SCENARIOS
from tests.faults.scenarios.reference import Reference

from agentex_operator.api.metadata import FINALIZER
from agentex_testkit.api_server import Object, remembered
from agentex_testkit.fault_proxy.calls import KUBE, Call
from agentex_testkit.judge.findings import Finding, Harm
from agentex_testkit.ledger import REMOTE
from agentex_testkit.thrown_exceptions import CANARY, ERRORS, SOURCE, TEXT, THROWN, ThrownException

SPELL = 3         # seconds
MOST_PASSES = 12  # of one resource that raise in one plan: with delays of 1, 2, 4 seconds there are far fewer
GATE = (
    "exceptions/build-edited-running/remote POST /v5/builds #1/after-RuntimeError",
    "exceptions/build-edited-running/kube PATCH agentbuilds/quote/status #2/before-KeyError",
    "exceptions/build-edited-running/source STAGE contexts #1/before-MemoryError",
    "exceptions/preview-edited/remote DELETE /v5/agentex/deployments/{id} #1/before-OverflowError=3",
)
IDS = ("buildID", "deploymentID", "account", "image", "attempt")  # of a status, or of the memory in it
REFERENCE = re.compile(r"\(reference ([0-9a-f]{10})\)")
GONE = "Conflict: The API server answered 404"  # to the write after which the call raised
BY_THE_WATCH = ("LIST", "WATCH")  # of the API server: before the first pass, and kopf's


class Exceptions:
    """The exceptions family: every call site, every way; and every write of every scenario, one way after the other."""

    name = "exceptions"

    def __init__(self, found: dict[str, Reference]) -> None:
        self._found = found

    def batches(self, scale: Scale) -> Iterable[Sequence[str]]:
        """Each plan by itself."""
        if scale.gate:
            return [[plan] for plan in GATE]
        plans = [plan for scenario in self._found for plan in (*self._writes(scenario), *self._sources(scenario))]
        return [[plan] for plan in dict.fromkeys((*plans, *self._sites()))]

    def run(self, runner: Runner, plans: Sequence[str]) -> Iterator[Outcome]:
        """Run each plan."""
        for plan in plans:
            _, scenario, name = plan.split("/", 2)
            wanted = ThrownException.parse(name)
            with runner.sparing_other_workers(), throwing(runner, wanted):
                findings = reference.run_with_faults(runner, scenario, self._found[scenario], late=wanted.seconds)
                thrown = (runner.operator.folder / THROWN).exists()
                yield Outcome(plan, (*findings, *(unreported(runner, wanted) if thrown else ())), reached=thrown)

    def _writes(self, scenario: str) -> Iterator[str]:
        """The writes of a scenario, each in the next way; each scenario begins with another one."""
        writes = (call for call in self._found[scenario].calls if call.mutates)
        turns = islice(cycle(_once()), list(SCENARIOS).index(scenario), None)
        yield from (f"{self.name}/{scenario}/{call}/{how}" for call, how in zip(writes, turns, strict=False))

    def _sources(self, scenario: str) -> Iterator[str]:
        """The first look at the source and the first staging, where the scenario has them."""
        if any(call.creates and "builds" in call.what for call in self._found[scenario].calls):
            yield f"{self.name}/{scenario}/{Call(SOURCE, 'RESOLVE', 'contexts', 1)}/before-RuntimeError"
            yield f"{self.name}/{scenario}/{Call(SOURCE, 'STAGE', 'contexts', 1)}/after-OverflowError"

    def _sites(self) -> Iterator[str]:
        """Each call site in the scenario that meets it first: before and after the call, and for a spell."""
        met: set[str] = set()
        for scenario in self._found:
            for call in filter(_is_made_by_an_adapter, self._found[scenario].calls):
                if call.site not in met:
                    met.add(call.site)
                    yield from (f"{self.name}/{scenario}/{call}/{how}" for how in (
                        "before-RuntimeError", "after-KeyError", f"before-RecursionError={SPELL}"))


def _once() -> Iterator[str]:
    return (f"{moment}-{error}" for error in ERRORS for moment in ("before", "after"))


def _is_made_by_an_adapter(call: Call) -> bool:
    """Whether the call is made within passes: not by kopf, nor before the first pass."""
    return call.server != KUBE or not (call.verb in BY_THE_WATCH or call.what.startswith("/"))


@contextmanager
def throwing(runner: Runner, wanted: ThrownException) -> Iterator[None]:
    """Have the operators that are started now throw this exception, all together once."""
    (runner.operator.folder / THROWN).unlink(missing_ok=True)
    runner.operator.throws = str(wanted)
    try:
        yield
    finally:
        runner.operator.throws = ""


# --- what must have been said -----------------------------------------------------------------------------------------


def unreported(runner: Runner, wanted: ThrownException) -> Iterator[Finding]:
    """I26: a finding for an exception in silence, for a record that was lost, and for text that nobody may see."""
    log, versions = runner.operator.log, runner.world.evidence().versions
    told = list(entries(log))
    raised = [entry for entry in told if "reference" in entry and entry["msg"].startswith("a pass")]
    shown = {found for of_one in versions.values() for one in of_one for found in references(one)}
    there = {one["metadata"]["uid"] for one in runner.world.resources()}
    if TEXT not in log:
        yield Finding("I26", "the log does not tell of the exception", Harm.OTHER)
    for entry in raised:
        vanished = entry["kind"] in REMOTE and entry["uid"] not in there
        vanished = vanished and not was_held(versions.get(entry["uid"], ()))
        if entry["reference"] not in shown and not (vanished or cannot_be_written(wanted, entry, told, versions)):
            yield Finding("I26", f"no status tells of {entry['reference']}: {entry.get('name')}", Harm.STUCK)
    for uid, number in Counter(entry["uid"] for entry in raised).items():
        if number > MOST_PASSES:
            yield Finding("I26", f"{number} passes over {uid} raised: too often in too short a time", Harm.OTHER)
    yield from forgotten(versions)
    if CANARY in json.dumps([one.get("status") for of_one in versions.values() for one in of_one]):
        yield Finding("I26", "a status shows the text of the exception", Harm.OTHER)


def entries(log: str) -> Iterator[dict[str, Any]]:
    """The lines of the log that are JSON objects."""
    for line in log.splitlines():
        if line.startswith("{") and line.endswith("}"):
            yield json.loads(line)


def references(obj: Object) -> set[str]:
    """The references that the conditions with InternalError show."""
    said = (obj.get("status") or {}).get("conditions") or ()
    found = (REFERENCE.search(one["message"]) for one in said if one["reason"] == "InternalError")
    return {one[1] for one in found if one}


def cannot_be_written(wanted: ThrownException, entry: Mapping[str, Any], log: Iterable[Mapping[str, Any]],
                      versions: Mapping[str, Sequence[Object]]) -> bool:
    """Whether no status can tell: no version is recorded, the object was gone, or the report was not written.

    The log says the last: the write itself raised, or somebody changed the object meanwhile, and another pass follows.
    """
    went = (wanted.after and entry["error"] == "the call RemoveFinalizer raised") or GONE in entry["stacktrace"]
    if entry["uid"] not in versions or went:
        return True
    same = [one for one in log if one.get("reconcileID") == entry["reconcileID"]]
    return any(one["msg"] == "call failed" and one["error"] == "Conflict" for one in same) or (
        wanted.call.server == KUBE and any(one["msg"] == "an internal error could not be reported" for one in same))


def was_held(versions: Sequence[Object]) -> bool:
    """Whether the object ever had the operator's finalizer: without one, it is gone at the moment of its deletion."""
    return any(FINALIZER in one["metadata"].get("finalizers", ()) for one in versions)


def _on_record(version: Object) -> Object:
    """The members of the status, and those of the operator's memory in it."""
    status: Object = version.get("status") or {}
    return status | remembered(status)


def forgotten(versions: Mapping[str, Sequence[Object]]) -> Iterator[Finding]:
    """A finding for what was on record, and is not any more in a status that reports InternalError."""
    for of_one in versions.values():
        for before, after in pairwise(of_one):
            known, kept = _on_record(before), _on_record(after)
            lost = [key for key in IDS if key in known and known[key] != kept.get(key)]
            if lost and references(after) - references(before):
                yield Finding("I26", f"InternalError came with another {', '.join(lost)}", Harm.LEAKED)
