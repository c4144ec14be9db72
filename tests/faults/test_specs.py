"""Every leaf of every spec has values to change to, and a line that says where it goes."""

from __future__ import annotations

import pytest
from tests.faults.programme.plans import Scale
from tests.faults.specs.crd_schema import KINDS, leaves, properties
from tests.faults.transitions.edited_properties import KNOWN, edited_properties, is_changed
from tests.faults.transitions.family import Transition, Transitions
from tests.faults.transitions.field_map import FIELD_MAP


@pytest.mark.parametrize("kind", KINDS)
def test_every_leaf_says_which_remote_field_it_reaches(kind: str) -> None:
    assert sorted(FIELD_MAP[kind]) == sorted(one.name for one in leaves(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_leaf_that_reaches_nothing_says_why(kind: str) -> None:
    assert [name for name, target in FIELD_MAP[kind].items() if target.field is None and not target.why] == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_property_has_values_right_and_wrong(kind: str) -> None:
    found = [one for one in edited_properties(kind) if "," not in one.name]
    poor = [one.name for one in found if not one.valid or not (one.refused or one.known.bad)]

    assert poor == ["what to deploy"] * (kind == "AgentDeployment")  # a choice between members, nameless in the CRD


@pytest.mark.parametrize("kind", KINDS)
def test_every_property_that_can_be_changed_has_two_values_to_change_between(kind: str) -> None:
    single = {one.name for one in edited_properties(kind) if len(one.valid) < 2}

    assert single <= {"manifest.fromBuild", "source.http.digest"}  # only true is allowed; the bytes allow one digest


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_given_for_a_property_that_is_no_more(kind: str) -> None:
    known = {one.name for one in properties(kind)}
    variants = {"what to deploy"}

    assert [name for name in KNOWN[kind] if name.partition(",")[0] not in known | variants] == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_leaf_is_a_subject(kind: str) -> None:
    changed = {one.name for one in properties(kind) if is_changed(one, kind)}

    assert changed <= {one.name for one in edited_properties(kind)}


def test_a_plan_can_be_read_back_from_its_name() -> None:
    plans = [plan for batch in Transitions().batches(Scale()) for plan in batch]

    assert [Transition.parse(plan).plan for plan in plans] == plans
    assert len(set(plans)) == len(plans)
