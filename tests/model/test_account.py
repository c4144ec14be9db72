"""The account in the model: what the production code decides there is what the judge expects, in every situation."""

from __future__ import annotations

from itertools import product

import pytest
from tests.model.accounts import (
    CHANGED,
    DELETED,
    FIRST,
    FORBIDDEN,
    GONE,
    KEYLESS,
    MAIN,
    OTHER,
    PRESENT,
    RELEASED,
    SECOND,
    UNSEEN,
    Bindings,
    Entry,
    after_start,
    obstacle,
    reconciled,
)
from tests.model.kinds import Object

from agentex_operator.api.status import BoundAccount
from agentex_operator.core.plan import AccountProblem


def bound_to(name: str, account_id: str) -> BoundAccount:
    return BoundAccount(kind="ClusterAgentexAccount", name=name, account_id=account_id, endpoint="https://api.example")


BOUND = {"none": None, "main": bound_to(MAIN, FIRST), "main, as it was once": bound_to(MAIN, SECOND),
         "other": bound_to(OTHER, SECOND)}
KNOWN_AS = {
    "usable": Entry(PRESENT, session=True), "gone": Entry(GONE), "gone, in use": Entry(GONE, session=True, used=True),
    "another": Entry(CHANGED, session=True), "forbidden": Entry(FORBIDDEN, session=True),
    "deleted": Entry(DELETED, session=True), "without a key": Entry(KEYLESS),
    "without a key, which was read before": Entry(KEYLESS, session=True),
}
SITUATIONS = list(product(KNOWN_AS, BOUND, [False, True]))


@pytest.mark.parametrize(("entry", "bound", "deleting"), SITUATIONS)
def test_the_decision_is_what_the_judge_expects(entry: str, bound: str, deleting: bool) -> None:
    known, account = KNOWN_AS[entry], BOUND[bound]
    obj = Object(1, 1, 0 if deleting else -1, held=True, asked=0, spec=0, status=1)

    found = Bindings().of(known, deleting, account)

    expected = obstacle(known.state, obj, account, session=known.session)
    assert (found.reason if isinstance(found, AccountProblem) else None) == expected


@pytest.mark.parametrize(("entry", "bound", "deleting"), [one for one in SITUATIONS if one[1] != "none"])
def test_the_name_of_the_bound_account_changes_nothing(entry: str, bound: str, deleting: bool) -> None:
    known, account = KNOWN_AS[entry], BOUND[bound]
    assert account is not None

    assert Bindings().of(known, deleting, account, account.name) == Bindings().of(known, deleting, account)


def test_what_was_not_reconciled_yet_is_a_temporary_problem_of_what_is_bound_to_it() -> None:
    found = Bindings().of(Entry(UNSEEN), False, BOUND["main"])

    assert isinstance(found, AccountProblem)
    assert found.temporary


@pytest.mark.parametrize(("before", "state", "after"), [
    (Entry(PRESENT, session=True, used=True), GONE, Entry(GONE, session=True, used=True)),
    (Entry(PRESENT, session=True), GONE, Entry(GONE)),
    (Entry(PRESENT, session=True, used=True), KEYLESS, Entry(KEYLESS, session=True, used=True)),
    (Entry(PRESENT, session=True, used=True), CHANGED, Entry(CHANGED, session=True)),
    (Entry(CHANGED, session=True, used=True), PRESENT, Entry(PRESENT, session=True)),
    (Entry(GONE, session=True, used=True), PRESENT, Entry(PRESENT, session=True)),
    (Entry(PRESENT, session=True, used=True), DELETED, Entry(DELETED, session=True, used=True)),
    (Entry(DELETED, session=True, used=True), GONE, Entry(GONE, session=True, used=True)),
    (Entry(DELETED, session=True, used=True), PRESENT, Entry(PRESENT, session=True)),
    (after_start(DELETED), DELETED, Entry(DELETED, session=True)),
    (after_start(RELEASED), GONE, Entry(GONE)),
    (after_start(KEYLESS), KEYLESS, Entry(KEYLESS)),
    (after_start(PRESENT), PRESENT, Entry(PRESENT, session=True)),
    (after_start(GONE), GONE, Entry(GONE)),
])
def test_a_pass_over_the_account_keeps_the_session_that_is_still_used(before: Entry, state: int, after: Entry) -> None:
    assert reconciled(before, state) == after
