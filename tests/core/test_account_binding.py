"""Which account a resource uses, whether it may, and what it is told if not: one line for each situation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from agentex_operator.api.account import AccountSpec, ClusterAccountSpec
from agentex_operator.api.build import AgentBuild
from agentex_operator.api.deployment import AgentDeployment
from agentex_operator.api.references import AccountRef
from agentex_operator.api.schema import adapter
from agentex_operator.api.status import BoundAccount, Condition
from agentex_operator.core import account_remedies, reasons
from agentex_operator.core.account_binding import (
    NOT_RECONCILED,
    AccountRequest,
    AccountSnapshot,
    KnownAccounts,
    account_key,
    bind,
    bound_account,
    needs_namespace_labels,
    problem_of,
    select,
)
from agentex_operator.core.account_remedies import AccountKey
from agentex_operator.core.errors import Unauthorized
from agentex_operator.core.plan import AccountProblem, UsableAccount

NAMESPACED: Final = "AgentexAccount"
CLUSTER: Final = "ClusterAgentexAccount"
OWN, NAMED, SHARED = account_key(NAMESPACED, "team", "default"), account_key(NAMESPACED, "team", "prod"), (
    account_key(CLUSTER, "team", "shared"))
REMOTE = {"endpoint": "https://api.example", "accountID": "acct-1", "apiKeySecretRef": {"name": "a", "key": "k"}}
MOVED: dict[str, Any] = {"endpoint": "https://api.example", "accountID": "acct-2"}
T0 = datetime(2026, 11, 24, 12, tzinfo=UTC)
NEW = AccountRequest(namespace="team", deleting=False, ref=None, bound=None)
NAMING = replace(NEW, ref=AccountRef(kind=NAMESPACED, name="prod"))
SHARING = replace(NEW, ref=AccountRef(kind=CLUSTER, name="shared"))
BOUND = replace(NEW, bound=BoundAccount(kind=NAMESPACED, name="prod", account_id="acct-1",
                                        endpoint="https://api.example"))


def an_account(key: AccountKey, *, problem: AccountProblem | None = None, has_session: bool = True, gone: bool = False,
               deleted: bool = False, **spec: Any) -> AccountSnapshot:
    """An account that can be used, but for what is said."""
    model: type[AccountSpec] = ClusterAccountSpec if key[0] == CLUSTER else AccountSpec
    return AccountSnapshot(key, adapter(model).validate_python(REMOTE | spec), problem, has_session, gone,
                           deleted)


def accounts(*snapshots: AccountSnapshot, existing: tuple[AccountKey, ...] = ()) -> KnownAccounts:
    return KnownAccounts(snapshots, frozenset(existing))


def deleting(request: AccountRequest) -> AccountRequest:
    return replace(request, deleting=True)


# --- which account ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Choice:
    """A request, the accounts there are, and the key or the reason that must come of it."""

    request: AccountRequest
    known: KnownAccounts
    chosen: AccountKey | str


DEFAULT_SHARED = an_account(SHARED, default=True)
CHOICES = {
    "names one": Choice(NAMING, accounts(an_account(NAMED), an_account(OWN)), NAMED),
    "names one of the cluster": Choice(SHARING, accounts(an_account(SHARED)), SHARED),
    "names one that does not exist": Choice(NAMING, accounts(), reasons.ACCOUNT_NOT_FOUND),
    "names one that is deleted": Choice(NAMING, accounts(an_account(NAMED, deleted=True)), reasons.ACCOUNT_DELETING),
    "bound to one that is deleted": Choice(BOUND, accounts(an_account(NAMED, deleted=True)), reasons.ACCOUNT_DELETING),
    "is deleted, and so is its account": Choice(deleting(BOUND), accounts(an_account(NAMED, deleted=True)), NAMED),
    "the own default is deleted": Choice(NEW, accounts(an_account(OWN, deleted=True), existing=(OWN,)),
                                         reasons.ACCOUNT_DELETING),
    "the own default is deleted, the cluster has one": Choice(
        NEW, accounts(an_account(OWN, deleted=True), DEFAULT_SHARED, existing=(OWN,)), SHARED),
    "the only default of the cluster is deleted": Choice(
        NEW, accounts(an_account(SHARED, deleted=True, default=True)), reasons.ACCOUNT_NOT_FOUND),
    "names one that has gone": Choice(NAMING, accounts(an_account(NAMED, gone=True)), reasons.ACCOUNT_NOT_FOUND),
    "names one that has gone, is deleted": Choice(deleting(NAMING), accounts(an_account(NAMED, gone=True)), NAMED),
    "names one without a pass": Choice(NAMING, accounts(existing=(NAMED,)), reasons.ACCOUNT_NOT_READY),
    "names one that came back without a pass": Choice(NAMING, accounts(an_account(NAMED, gone=True),
                                                                       existing=(NAMED,)), reasons.ACCOUNT_NOT_READY),
    "names none": Choice(NEW, accounts(an_account(OWN)), OWN),
    "names none, own before shared": Choice(NEW, accounts(DEFAULT_SHARED, an_account(OWN)), OWN),
    "names none, own has gone": Choice(NEW, accounts(an_account(OWN, gone=True), DEFAULT_SHARED), SHARED),
    "names none, shared has gone": Choice(NEW, accounts(an_account(SHARED, default=True, gone=True)),
                                          reasons.ACCOUNT_NOT_FOUND),
    "names none, shared is no default": Choice(NEW, accounts(an_account(SHARED)), reasons.ACCOUNT_NOT_FOUND),
    "names none, several shared": Choice(NEW, accounts(DEFAULT_SHARED, an_account(account_key(CLUSTER, None, "all"),
                                                                                  default=True)),
                                         account_key(CLUSTER, None, "all")),
    "names none, own without a pass": Choice(NEW, accounts(existing=(OWN,)), reasons.ACCOUNT_NOT_READY),
    "names none, there is none": Choice(NEW, accounts(), reasons.ACCOUNT_NOT_FOUND),
    "names none, is deleted, own has gone": Choice(deleting(NEW), accounts(an_account(OWN, gone=True)),
                                                   reasons.ACCOUNT_NOT_FOUND),
    "is bound": Choice(BOUND, accounts(an_account(NAMED), an_account(OWN), DEFAULT_SHARED), NAMED),
    "is bound, names another by now": Choice(replace(BOUND, ref=AccountRef(kind=NAMESPACED, name="default")),
                                             accounts(an_account(NAMED), an_account(OWN)), NAMED),
    "is bound, it has gone": Choice(BOUND, accounts(an_account(OWN), DEFAULT_SHARED), reasons.ACCOUNT_NOT_FOUND),
    "is bound, another account id": Choice(BOUND, accounts(an_account(NAMED, **MOVED)), reasons.ACCOUNT_CHANGED),
    "is bound, another endpoint": Choice(BOUND, accounts(an_account(NAMED, endpoint="https://other.example")),
                                         reasons.ACCOUNT_CHANGED),
    "is bound, another account id, is deleted": Choice(deleting(BOUND), accounts(an_account(NAMED, **MOVED)),
                                                       reasons.ACCOUNT_CHANGED),
    "is bound, it came back": Choice(BOUND, accounts(an_account(NAMED, pollInterval="1m")), NAMED),
    "is not bound, another account id": Choice(NAMING, accounts(an_account(NAMED, **MOVED)), NAMED),
}


@pytest.mark.parametrize("case", CHOICES.values(), ids=CHOICES)
def test_the_account_of_a_resource_is_the_bound_one_then_the_named_one_then_the_default(case: Choice) -> None:
    found = select(case.request, case.known)

    assert (found.reason if isinstance(found, AccountProblem) else found.key) == case.chosen


@pytest.mark.parametrize("case", [one for one in CHOICES.values() if one.request.bound is not None])
def test_the_name_of_the_bound_account_changes_nothing_and_no_other_name_is_followed(case: Choice) -> None:
    bound = case.request.bound
    assert bound is not None
    named = AccountRef(kind=NAMESPACED, name=bound.name), AccountRef(kind=CLUSTER, name="another")

    assert [select(replace(case.request, ref=ref), case.known) for ref in named] == [
        select(replace(case.request, ref=None), case.known)] * 2


def test_an_account_that_is_not_the_bound_one_is_named_with_both_remotes() -> None:
    found = select(BOUND, accounts(an_account(NAMED, **MOVED)))

    assert isinstance(found, AccountProblem)
    assert "acct-2 at https://api.example" in found.message
    assert "acct-1 at https://api.example" in found.message
    assert not found.temporary


@pytest.mark.parametrize(("kind", "key"), [(NAMESPACED, (NAMESPACED, "team", "a")), (CLUSTER, (CLUSTER, None, "a"))])
def test_the_key_of_a_cluster_account_has_no_namespace(kind: str, key: AccountKey) -> None:
    assert account_key(kind, "team", "a") == key


@pytest.mark.parametrize("model", [AgentBuild, AgentDeployment])
def test_the_request_of_a_resource_is_read_from_its_spec_and_status(model: Any) -> None:
    bound = {"kind": NAMESPACED, "name": "prod", "accountID": "acct-1", "endpoint": "https://api.example"}
    spec = {"accountRef": {"name": "other"}, "buildID": "b-1", "agentID": "a-1", "image": {"name": "quote"},
            "source": {"configMapKeyRef": {"name": "quote", "key": "ctx"}}, "manifest": {"inline": "x"},
            "environments": {"inline": "y"}}
    known = {name: spec[name] for name in (("accountRef", "agentID", "image", "source") if model is AgentBuild else
                                           ("accountRef", "buildID", "manifest", "environments"))}
    resource = model.parse({
        "metadata": {"name": "quote", "namespace": "team", "uid": "u", "creationTimestamp": "2026-11-24T12:00:00Z",
                     "deletionTimestamp": "2026-11-24T13:00:00Z"}, "spec": known, "status": {"account": bound}})

    request = AccountRequest.of(resource)

    assert (request.namespace, request.deleting, request.names_none) == ("team", True, False)
    assert request.ref == AccountRef(name="other")
    assert request.key == NAMED


# --- whether it may be used ---------------------------------------------------------------------------------------

FOR_SUPPORT: dict[str, Any] = {"namespaceSelector": {"matchLabels": {"team": "support"}}}
SUPPORT, SALES = {"team": "support"}, {"team": "sales"}
LOST_KEY = AccountProblem(reasons.SECRET_NOT_FOUND, "There is no Secret 'a'.")
REFUSED = AccountProblem(reasons.ACCESS_DENIED, "The key was refused.")
TEMPORARY = AccountProblem(reasons.ACCOUNT_NOT_READY, "In a moment.", temporary=True)


@dataclass(frozen=True)
class Use:
    """A request, its account, the labels of its namespace, and the account id or the reason that must come of it."""

    request: AccountRequest
    account: AccountSnapshot
    labels: dict[str, str] | None
    comes: str
    reads_labels: bool = False


USES = {
    "usable": Use(NAMING, an_account(NAMED), None, "acct-1"),
    "no session yet": Use(NAMING, an_account(NAMED, has_session=False), None, reasons.ACCOUNT_NOT_READY),
    "no key": Use(NAMING, an_account(NAMED, problem=LOST_KEY), None, reasons.ACCOUNT_NOT_READY),
    "no key, is deleted": Use(deleting(NAMING), an_account(NAMED, problem=LOST_KEY), None, "acct-1"),
    "no key, is deleted, key never read": Use(deleting(NAMING), an_account(NAMED, problem=LOST_KEY, has_session=False),
                                              None, reasons.ACCOUNT_NOT_READY),
    "no key, has gone, is deleted": Use(deleting(NAMING), an_account(NAMED, problem=LOST_KEY, gone=True), None,
                                        "acct-1"),
    "key refused": Use(NAMING, an_account(NAMED, problem=REFUSED), None, reasons.ACCESS_DENIED),
    "key refused, is deleted": Use(deleting(NAMING), an_account(NAMED, problem=REFUSED), None, reasons.ACCESS_DENIED),
    "temporary": Use(NAMING, an_account(NAMED, problem=TEMPORARY), None, reasons.ACCOUNT_NOT_READY),
    "for all namespaces": Use(SHARING, an_account(SHARED), None, "acct-1"),
    "for this namespace": Use(SHARING, an_account(SHARED, **FOR_SUPPORT), SUPPORT, "acct-1", reads_labels=True),
    "for another namespace": Use(SHARING, an_account(SHARED, **FOR_SUPPORT), SALES, reasons.ACCOUNT_NOT_ALLOWED,
                                 reads_labels=True),
    "for labels, the namespace has none": Use(SHARING, an_account(SHARED, **FOR_SUPPORT), {},
                                              reasons.ACCOUNT_NOT_ALLOWED, reads_labels=True),
    "for another namespace, is deleted": Use(deleting(SHARING), an_account(SHARED, **FOR_SUPPORT), None, "acct-1"),
    "for another namespace, no key": Use(SHARING, an_account(SHARED, problem=LOST_KEY, **FOR_SUPPORT), None,
                                         reasons.ACCOUNT_NOT_READY),
    "for another namespace, no session": Use(SHARING, an_account(SHARED, has_session=False, **FOR_SUPPORT), SALES,
                                             reasons.ACCOUNT_NOT_ALLOWED, reads_labels=True),
    "changed, no key": Use(BOUND, an_account(NAMED, problem=LOST_KEY, **MOVED), None, reasons.ACCOUNT_CHANGED),
}


@pytest.mark.parametrize("case", USES.values(), ids=USES)
def test_an_account_is_used_when_it_is_available_and_its_selector_matches(case: Use) -> None:
    found = bind(case.request, accounts(case.account), case.labels)

    assert (found.reason if isinstance(found, AccountProblem) else found.account_id) == case.comes


@pytest.mark.parametrize("case", USES.values(), ids=USES)
def test_the_labels_of_a_namespace_are_read_only_where_they_decide(case: Use) -> None:
    assert needs_namespace_labels(case.request, accounts(case.account)) is case.reads_labels


@pytest.mark.parametrize(("problem", "temporary", "said"), [
    (LOST_KEY, False, "AgentexAccount 'prod' is not ready: There is no Secret 'a'."),
    (REFUSED, False, "AgentexAccount 'prod' is not ready: The key was refused."),
    (TEMPORARY, True, "In a moment."),
])
def test_the_problem_of_an_account_is_told_to_its_resources(problem: AccountProblem, temporary: bool,
                                                            said: str) -> None:
    found = bind(NAMING, accounts(an_account(NAMED, problem=problem)))

    assert isinstance(found, AccountProblem)
    assert (found.temporary, found.message) == (temporary, said)


def test_a_usable_account_is_told_with_its_poll_interval() -> None:
    snapshot = an_account(SHARED, pollInterval="1m")

    assert bind(SHARING, accounts(snapshot)) == snapshot.account
    assert (snapshot.account.kind, snapshot.account.name, snapshot.account.poll.seconds) == (CLUSTER, "shared", 60)


def test_labels_that_may_not_be_read_are_a_problem_that_names_the_missing_right() -> None:
    problem = account_remedies.labels_unreadable(Unauthorized("403 from the API server.", status=403))

    assert problem.reason == reasons.ACCOUNT_NOT_READY
    assert "Grant the operator `get` of namespaces. 403 from the API server." in problem.message


# --- what the status of the account says --------------------------------------------------------------------------


def a_ready(status: Any, reason: str) -> tuple[Condition, ...]:
    return (Condition(type="Ready", status=status, reason=reason, message="Said.", observed_generation=1,
                      last_transition_time=T0),)


@pytest.mark.parametrize(("stored", "has_session", "problem"), [
    ((), True, AccountProblem(reasons.ACCOUNT_NOT_READY, "It was not looked at yet.", temporary=True)),
    (a_ready("True", reasons.SUCCEEDED), True, None),
    (a_ready("True", reasons.SUCCEEDED), False, None),
    (a_ready("False", reasons.REMOTE_UNAVAILABLE), True, None),
    (a_ready("False", reasons.REMOTE_UNAVAILABLE), False, AccountProblem(reasons.REMOTE_UNAVAILABLE, "Said.")),
    (a_ready("Unknown", reasons.THROTTLED), True, None),
    (a_ready("Unknown", reasons.THROTTLED), False, AccountProblem(reasons.THROTTLED, "Said.")),
    (a_ready("False", reasons.DELETING), True, None),
    (a_ready("False", reasons.DELETING), False, AccountProblem(reasons.DELETING, "Said.")),
    (a_ready("False", reasons.ACCESS_DENIED), True, AccountProblem(reasons.ACCESS_DENIED, "Said.")),
    (a_ready("False", reasons.SECRET_NOT_FOUND), True, AccountProblem(reasons.SECRET_NOT_FOUND, "Said.")),
])
def test_an_account_can_be_used_when_it_is_ready_or_only_temporarily_away(
    stored: tuple[Condition, ...], has_session: bool, problem: AccountProblem | None
) -> None:
    assert problem_of(stored, has_session=has_session) == problem


def test_a_create_records_the_account_at_hand_and_keeps_the_recorded_one_without() -> None:
    account = UsableAccount(NAMESPACED, "prod", "acct-1", "https://api.example", an_account(NAMED).account.poll)

    assert bound_account(account, None) == BOUND.bound
    assert bound_account(NOT_RECONCILED, BOUND.bound) == BOUND.bound
    assert bound_account(NOT_RECONCILED, None) is None
