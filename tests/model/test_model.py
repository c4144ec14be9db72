"""The search in small: the production rules keep every invariant, and it would be noticed if they did not."""

from __future__ import annotations

import pytest
from tests.model.check import search, trace
from tests.model.configurations import GATE
from tests.model.coverage import noting_who_answers, silent
from tests.model.mutants import MUTANTS, Mutant


@pytest.mark.parametrize("configuration", GATE)
def test_nothing_that_can_happen_breaks_an_invariant(configuration: str) -> None:
    result = search(configuration).result

    assert result.counterexample is None
    assert result.complete


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_protocol_is_noticed(mutant: Mutant) -> None:
    found = [search(configuration, mutant.name).result.counterexample for configuration in mutant.searches]

    assert all(found)


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
    assert "build RULES: cancel_when_asked" in silent(answered)
