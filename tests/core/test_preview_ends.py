"""The ends of previews: past before they are created, or extended after they ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.core_fixture import CoreFixture, a_deployment, a_preview, script
from tests.core.test_build_decisions import built
from tests.core.test_deployment_decisions import healthy, live

from agentex_operator.api.deployment import Preview
from agentex_operator.core import calls, expiry, reasons
from agentex_operator.core.errors import NotReady, Rejected
from agentex_operator.core.plan import AccountProblem
from agentex_operator.core.remote import RemoteState

PAST, FUTURE = "2026-11-24T11:00:00Z", "2026-11-24T13:00:00Z"


def a_past_preview(**preview: object) -> CoreFixture:
    world = a_preview(**{"expiresAt": PAST, **preview})
    assert world.obj is not None
    world.obj["spec"]["preview"].pop("ttl")
    return world


def is_expired(world: CoreFixture) -> bool:
    said = [world.condition(kind) for kind in ("Ready", "Expired", "Available", "Reconciling", "Stalled")]
    return said == [("True", "Expired"), ("True", "Expired"), ("False", "Expired"), None, None]


def test_a_preview_that_is_past_when_it_is_applied_is_expired_and_nothing_is_created():
    world = a_past_preview()

    world.settle_down(4)

    assert is_expired(world)
    assert (live(world), world.made(calls.CreateDeployment), world.status["phase"]) == ([], 0, "Expired")
    assert world.keeps_the_contract()


def test_a_past_preview_is_expired_though_its_config_map_and_then_its_account_are_missing():
    world = a_past_preview()
    world.edit(manifest={"configMapKeyRef": {"name": "pr-1", "key": "manifest.yaml"}})
    world.texts["pr-1"] = NotReady(reasons.CONFIG_MAP_NOT_FOUND, "There is no ConfigMap 'pr-1' here.")
    world.run()
    world.account = AccountProblem(reasons.ACCOUNT_NOT_FOUND, "There is no account. Create it.")

    world.run()

    assert is_expired(world)


def test_a_past_preview_is_created_once_its_end_is_moved():
    world = a_past_preview()
    world.run()

    world.edit(preview={"label": "pr-1", "expiresAt": FUTURE}).run()

    assert len(live(world)) == 1
    assert world.condition("Expired") is None


def test_a_past_preview_that_is_deleted_on_expiry_goes_and_one_of_a_gitops_engine_stays():
    gone, kept = a_past_preview(onExpiry="Delete"), a_past_preview(onExpiry="Delete")
    assert kept.obj is not None
    kept.obj["metadata"]["labels"] = {"kustomize.toolkit.fluxcd.io/name": "team"}

    gone.settle_down(4)
    kept.settle_down(4)

    assert gone.obj is None
    assert is_expired(kept)


@pytest.mark.parametrize("is_past", [True, False], ids=["past when applied", "swept by the remote"])
def test_the_status_says_why_before_a_preview_is_deleted_on_expiry(is_past):
    world = a_past_preview(onExpiry="Delete") if is_past else healthy(a_preview(onExpiry="Delete"))
    if not is_past:
        world.now += timedelta(hours=1)
        world.becomes("remote-2", "deleted", RemoteState.DELETED)

    world.settle_down(4)

    deletion = next(index for index, call in enumerate(world.calls) if isinstance(call, calls.DeleteSelf))
    before = world.calls[deletion - 1]
    assert isinstance(before, calls.SaveStatus)
    ready = next(one for one in before.status.conditions if one.type == "Ready")
    assert (ready.status, ready.reason) == ("True", "Expired")
    assert "onExpiry is Delete" in ready.message


def test_a_preview_that_was_refused_until_its_end_is_expired():
    world = a_past_preview(expiresAt=FUTURE)
    script(world, calls.CreateDeployment, lambda *_: Rejected("no such cluster", status=422))
    world.run()
    world.now += timedelta(hours=2)

    world.settle_down(2)

    assert is_expired(world)
    assert live(world) == []


def test_a_living_preview_that_gets_an_end_in_the_past_is_told_so():
    world = healthy(a_preview())

    world.edit(preview={"label": "pr-1", "expiresAt": PAST}).run()

    assert world.condition("Stalled") == ("True", "InvalidExpiry")


# --- extensions -----------------------------------------------------------------------------------------------------


def extended_after_its_end() -> CoreFixture:
    """The remote still shows the preview that ended an hour ago as healthy."""
    world = healthy(a_preview())
    world.now += timedelta(hours=2)
    world.annotate("extend-requested-at", "now")
    return world


def test_an_ended_preview_is_nobodys_predecessor_and_not_available():
    world = extended_after_its_end()

    world.run()

    assert world.condition("Available") == ("False", "Progressing")
    assert "predecessorID" not in world.memory
    world.settle_down(6)
    assert live(world) == ["remote-3"]


def test_an_ended_preview_is_not_available_while_its_extension_waits():
    world = extended_after_its_end()
    world.account = AccountProblem(reasons.ACCOUNT_NOT_FOUND, "There is no account. Create it.")

    world.run()

    assert world.condition("Available") == ("False", "Expired")


def test_an_ended_preview_that_gets_another_spec_is_not_available():
    world = healthy(a_preview())
    world.now += timedelta(hours=2)

    world.edit(preview={"label": "pr-1", "ttl": "2h"}).run()

    assert world.condition("Available") == ("False", "Progressing")
    assert "predecessorID" not in world.memory


def test_an_extension_after_the_end_needs_a_list_that_is_younger_than_it():
    world = extended_after_its_end()
    before = len(world.calls)

    world.run()

    looks = [call for call in world.calls[before:] if isinstance(call, calls.LookForOurs)]
    assert [look.fresh_since for look in looks] == [world.now]


def test_an_extension_before_the_end_keeps_the_deployment_that_serves():
    world = healthy(a_preview())

    world.annotate("extend-requested-at", "now").run()

    assert world.condition("Available") == ("True", "Replacing")


def test_an_extension_that_was_handled_is_not_forgotten_with_its_annotation():
    world = healthy(a_preview())
    world.annotate("extend-requested-at", "once").settle_down(2)
    assert world.obj is not None
    world.obj["metadata"]["annotations"].pop("agentex.scale.com/extend-requested-at")
    world.edit(preview={"label": "pr-1", "ttl": "2h"}).settle_down(2)
    creates = world.made(calls.CreateDeployment)

    world.annotate("extend-requested-at", "once").settle_down(2)

    assert world.made(calls.CreateDeployment) == creates
    assert world.status["lastHandledExtendRequestedAt"] == "once"


# --- adoption -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [built, lambda: healthy(a_deployment())], ids=["a build", "a deployment"])
def test_what_is_adopted_by_its_token_after_the_status_was_lost_is_bound_to_its_account(made):
    world = made()
    assert world.obj is not None
    bound, remotes = world.status["account"], len(world.records)
    world.obj["status"] = {}

    world.settle_down(3)

    assert (world.status["account"], len(world.records)) == (bound, remotes)


@pytest.mark.parametrize(("preview", "step"), [
    ({"ttl": "1h"}, "set the annotation agentex.scale.com/extend-requested-at to a new value to keep it."),
    ({"expiresAt": FUTURE}, "set a later spec.preview.expiresAt to keep it."),
])
def test_what_is_said_before_the_end_of_a_preview_can_keep_it(preview, step):
    world = a_preview(**preview)
    assert world.obj is not None
    world.obj["spec"]["preview"] = preview
    healthy(world)
    world.now += timedelta(minutes=50)
    world.run()

    (ready,) = [one["message"] for one in world.status["conditions"] if one["type"] == "Ready"]
    assert ready.endswith(step)


@given(now=st.datetimes(datetime(2026, 1, 1), datetime(2093, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - naive by contract
       ttl=st.integers(1_000, 31_536_000_000))
def test_a_ttl_ends_at_the_next_whole_second_so_that_a_column_can_show_the_end(now: datetime, ttl: int) -> None:
    ends = expiry.expires_at(Preview(ttl=f"{ttl}ms"), now)

    assert ends.microsecond == 0
    assert timedelta() <= ends - now - timedelta(milliseconds=ttl) < timedelta(seconds=1)
