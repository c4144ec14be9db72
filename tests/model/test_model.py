"""The search in small: the production rules keep every invariant, and it would be noticed if they did not."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from tests.model.check import run, search, trace
from tests.model.configurations import GATE, MODEL
from tests.model.coverage import noting_who_answers, silent
from tests.model.mutants import BASELINES, KINDS, MUTANTS, Mutant, Patch, PatchMissedError, instead, without
from tests.model.states import BUDGETS, Configuration

from agentex_operator.core import build, deployment
from agentex_operator.core.plan import Plan
from agentex_operator.core.protocol import settle

pytestmark = pytest.mark.exhaustive
SMALL_BASELINES = [name for name in BASELINES if Configuration.parse(name).replicas == 1]
PARSED = [Configuration.parse(name) for name in MODEL]


@pytest.mark.parametrize("configuration", dict.fromkeys((*GATE, *SMALL_BASELINES)))
def test_nothing_that_can_happen_breaks_an_invariant(configuration: str) -> None:
    result = search(configuration).result

    assert result.counterexample is None
    assert result.complete


def test_every_fault_and_every_act_of_the_user_is_searched() -> None:
    assert {word for one in PARSED for word in one.budgets} == {*BUDGETS}


@pytest.mark.parametrize("together", [("delete", "recreate"), ("crash", "late", "delete")], ids=",".join)
def test_two_replicas_meet_it_too(together: tuple[str, ...]) -> None:
    assert any(one.replicas == 2 and {*together} <= one.budgets.keys() for one in PARSED)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_protocol_is_noticed(mutant: Mutant) -> None:
    found = [search(configuration, mutant.name).result.counterexample for configuration in mutant.searches]

    assert all(mutant.is_noticed(one) for one in found)


def raising() -> list[Patch]:
    def decide(_observed: Any, _now: Any) -> Plan[Any]:
        raise KeyError("I20: ")

    return [(build, "decide", decide)]


def test_rules_that_raise_are_a_violation_and_prove_nothing() -> None:
    mutant = Mutant("", "the rules raise", (), ("I20",), raising)

    found = run("build:1:K4:", mutant).counterexample

    assert found is not None
    assert not mutant.is_noticed(found)


def hands_off_without_a_word() -> list[Patch]:
    def leave_alone_when_suspended(observed: Any, _now: Any) -> Plan[Any] | None:
        return Plan(None) if observed.spec.suspend else None

    return instead("leave_alone_when_suspended", dict.fromkeys(KINDS, leave_alone_when_suspended))


AT_REST = {
    "nothing is cancelled": ("build:1:K4:cancel=1", lambda: without("cancel_when_requested"),
                             "for ever: I20: r1 goes on, though cancelled"),
    "hands are not kept off": ("preview:1:K4:pause=1", lambda: without("leave_alone_when_suspended"),
                               "I11: a create of what is suspended or cancelled"),
    "nobody is told": ("production:1:K4:pause=1", hands_off_without_a_word,
                       "for ever: I20: suspended, and does not say so"),
}


@pytest.mark.parametrize(("configuration", "patches", "violation"), AT_REST.values(), ids=AT_REST)
def test_what_nobody_takes_back_is_judged_where_it_ends(configuration: str, patches: Any, violation: str) -> None:
    found = run(configuration, Mutant("", "", (), (), patches)).counterexample

    assert found is not None
    assert found.violation == violation


def elsewhere(patches: list[Patch]) -> list[Patch]:
    """The same patches, set on an object that the core does not know: it reads none of them."""
    return [(SimpleNamespace(**{name: object()}), name, value) for _, name, value in patches]


def test_a_mutant_whose_patch_misses_the_core_survives() -> None:
    (mutant,) = (one for one in MUTANTS if one.name == "M1")
    missed = replace(mutant, patches=lambda: elsewhere(mutant.patches()))

    found = [run(name, missed).counterexample for name in mutant.searches]

    assert found == [None] * len(mutant.searches)


def test_a_function_that_the_core_reads_at_two_places_is_not_patched_at_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment.attempt, "settle_refusal", settle.settle_refusal, raising=False)
    (mutant,) = (one for one in MUTANTS if one.name == "M1")

    with pytest.raises(PatchMissedError, match=r"deployment\.attempt\.settle_refusal"), mutant.applied():
        pass


def test_a_rule_that_does_not_exist_cannot_be_left_out() -> None:
    with pytest.raises(PatchMissedError, match="no_such_rule"):
        without("remove_duplicates", "no_such_rule")


def test_a_counterexample_can_be_read_and_replayed() -> None:
    found = search("production:1:K4:lost=1", "M12").result.counterexample

    assert found is not None
    told = trace("production:1:K4:lost=1", "M12", found.path)
    assert "create, answer lost" in told[len(found.path) - 1]
    assert told[len(found.path)].strip() == f"*** {found.violation}"


def test_a_search_finds_the_same_number_of_states_every_time() -> None:
    first, second = (search("build:1:K4:late=1").result for _ in range(2))

    assert (first.states, first.transitions) == (second.states, second.transitions)


def test_a_rule_that_no_search_reaches_is_noticed() -> None:
    with noting_who_answers() as answered:
        search("build:1:K4:")

    assert "build RULES: create" in answered
    assert "build RULES: cancel_when_requested" in silent(answered)


@pytest.mark.exhaustive
def test_every_rule_answers_in_some_search_of_the_gate() -> None:
    with noting_who_answers() as answered:
        for configuration in GATE:
            search(configuration)

    assert silent(answered) == []
