"""An account's rules, as far as no cluster is needed to see them."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from agentex_operator.api.account import AccountSpec, AccountStatus, BuildCounts, DeploymentCounts
from agentex_operator.api.metadata import FINALIZER, Meta
from agentex_operator.api.schema import adapter
from agentex_operator.core import account, calls
from agentex_operator.core.account import Counts
from agentex_operator.core.endpoints import EndpointRules
from agentex_operator.core.errors import Conflict, Unavailable
from agentex_operator.core.plan import Policy
from agentex_operator.core.remote import RemoteState

T0 = datetime(2026, 11, 24, 12, tzinfo=UTC)
SPEC = adapter(AccountSpec).validate_python({
    "endpoint": "https://api.example", "accountID": "acct-1", "apiKeySecretRef": {"name": "agentex", "key": "api-key"}})
META = Meta(name="default", namespace="team", uid="uid-1", creation_timestamp=T0, finalizers=(FINALIZER,))
ONE_RUNS = Counts(BuildCounts(running=1), DeploymentCounts())
NONE_RUNS = Counts(BuildCounts(), DeploymentCounts())


def a_pass(stored: AccountStatus = AccountStatus(), **known: Any) -> account.Observed:  # noqa: B008 - frozen
    """A pass that has read the key and had an answer."""
    usual: dict[str, Any] = {"counts": NONE_RUNS, "proved_at": T0, "key_read": True,
                             "endpoints": EndpointRules(None)}
    return account.Observed(meta=META, spec=SPEC, stored=stored, status=stored, policy=Policy(), started_at=T0,
                            **(usual | known))


def written(observed: account.Observed) -> AccountStatus:
    call = account.decide(observed, T0).call
    assert isinstance(call, calls.SaveStatus)
    return call.status


def test_what_was_counted_is_said_once() -> None:
    said = written(a_pass(counts=ONE_RUNS))

    again = account.decide(a_pass(said, counts=ONE_RUNS, counted=ONE_RUNS), T0)

    assert said.builds.running == 1
    assert again.call is None


def test_two_operators_that_count_otherwise_do_not_correct_each_other() -> None:
    said_by_the_other = written(a_pass(counts=ONE_RUNS))

    mine = account.decide(a_pass(said_by_the_other, counts=NONE_RUNS, counted=NONE_RUNS), T0)

    assert mine.call is None


def test_after_a_start_the_numbers_stay_until_something_was_counted() -> None:
    stored = written(a_pass(counts=replace(ONE_RUNS, throttled=True)))

    first = written(a_pass(stored, counts=Counts()))
    then = written(a_pass(first, counts=NONE_RUNS, counted=Counts()))

    assert (first.builds.running, first.throttled) == (1, False)
    assert then.builds.running == 0


@pytest.mark.parametrize("error", [Conflict("changed"), Unavailable("503", status=503)])
def test_a_status_that_cannot_be_written_ends_the_pass(error: Exception) -> None:
    observed = a_pass(counts=ONE_RUNS)

    save = account.decide(observed, T0).call
    assert save is not None

    after = account.settle(observed, save, error, T0)
    ended = account.decide(after, T0)

    assert (ended.call, ended.failed) == (None, True)


def test_builds_are_counted_by_state() -> None:
    states = {RemoteState.WAITING: 2, RemoteState.RUNNING: 3, RemoteState.SUCCEEDED: 5}

    assert account.build_counts(states) == BuildCounts(queued=2, running=3)
    assert account.build_counts({}) == BuildCounts()


def test_deployments_are_counted_by_state_and_previews_beside_them() -> None:
    states = {RemoteState.SUCCEEDED: 2, RemoteState.FAILED: 1, RemoteState.DELETED: 7}

    assert account.deployment_counts(states, 4) == DeploymentCounts(healthy=2, failed=1, previews=4)
    assert account.deployment_counts({}, 0) == DeploymentCounts()
