"""The plans of all families: each is there once, can be read back from its name, and is the same everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest
from tests.faults.programme.batches import Batch, batches_of
from tests.faults.programme.families import families
from tests.faults.programme.plans import Scale
from tests.faults.scenarios import crash
from tests.faults.scenarios.catalogue import SCENARIOS
from tests.faults.scenarios.reference import Reference

from agentex_testkit.fault_proxy.calls import Call
from agentex_testkit.fault_proxy.faults import PHASES, CallFault

CALLS = ("kube LIST agentbuilds #1", "kube WATCH agentbuilds #1", "kube PATCH agentbuilds/quote #1",
         "remote LIST /v5/builds #1", "kube PATCH agentbuilds/quote/status #1", "remote POST /v5/builds #1",
         "kube PATCH agentdeployments/quote/status #1", "remote DELETE /v5/agentex/deployments/{id} #1")
REFERENCES = {name: Reference(tuple(map(Call.parse, CALLS)), {}, creates=2, removals=1) for name in SCENARIOS}
SCALES = {"gate": Scale(gate=True), "whole": Scale(), "full": Scale(full=True)}


def everything(scale: Scale) -> list[Batch]:
    """The batches of every family."""
    return batches_of(families({}), REFERENCES, scale)


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_every_plan_is_there_once(scale: Scale) -> None:
    plans = Counter(plan for batch in everything(scale) for plan in batch.plans)

    assert plans
    assert [plan for plan, times in plans.items() if times > 1] == []


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_every_plan_begins_with_the_name_of_its_family(scale: Scale) -> None:
    assert [plan for batch in everything(scale) for plan in batch.plans if plan.split("/")[0] != batch.family] == []


def test_every_family_has_plans_in_the_gate_except_the_doubles() -> None:
    assert set(families({})) - {batch.family for batch in everything(Scale(gate=True))} == {"doubles"}


def test_every_mutating_call_of_every_scenario_is_a_crash_point_in_every_phase() -> None:
    plans = {plan for batch in everything(Scale()) if batch.family == "crash" for plan in batch.plans}
    mutating = [call for call in CALLS if Call.parse(call).mutates]

    assert {f"crash/{name}/{call}/{phase}" for name in SCENARIOS for call in mutating for phase in PHASES} <= plans


def test_the_watch_of_config_maps_is_a_crash_point_though_the_operator_only_reads_them() -> None:
    calls = [Call.parse(text) for text in ("kube WATCH configmaps #1", "kube GET configmaps/quote #1")]
    found = {"build-runs": Reference(tuple(calls), {}, creates=0, removals=0)}
    plans = [plan for batch in batches_of(["crash"], found, Scale()) for plan in batch.plans]

    assert "crash/build-runs/kube WATCH configmaps #1/lines=0" in plans
    assert crash.uncovered(plans, calls) == []


def test_a_crash_point_can_be_read_back_from_its_name() -> None:
    faults = [plan.split("/", 2)[2] for batch in everything(Scale()) if batch.family == "crash" for plan in batch.plans]

    assert [str(CallFault.parse(fault)) for fault in faults] == faults


def test_the_batches_are_the_same_in_every_process() -> None:
    code = ("from tests.faults.test_plans import Scale, everything\n"
            "print('\\n'.join(batch.key for batch in everything(Scale(full=True))))")
    keys = {subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                           env={**os.environ, "PYTHONHASHSEED": seed}).stdout for seed in ("1", "2")}

    assert len(keys) == 1
