"""Taking over what a restored status or spec.adopt names, seen through whole passes in a world of values."""

from __future__ import annotations

import contextlib
import copy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.core.core_fixture import (
    CoreFixture,
    CrashError,
    a_build,
    a_deployment,
    a_preview,
    crash_after,
    crash_before,
    lose,
    never,
    script,
)

from agentex_operator.core import calls
from agentex_operator.core.errors import Unauthorized, Unavailable
from agentex_operator.core.remote import RemoteState
from agentex_testkit import samples

CREATES = (calls.CreateBuild, calls.CreateDeployment)
MAKERS = {"build": a_build, "production": a_deployment, "preview": a_preview}
FIELD = {"build": "buildID", "production": "deploymentID", "preview": "deploymentID"}
DONE = {"build": ("success", RemoteState.SUCCEEDED), "production": ("healthy", RemoteState.SUCCEEDED),
        "preview": ("healthy", RemoteState.SUCCEEDED)}
KINDS = pytest.mark.parametrize("kind", MAKERS)


def finished(kind: str) -> CoreFixture:
    """A resource whose remote object serves."""
    world = MAKERS[kind]()
    world.run()
    (id_,) = set(world.records) - {"build-1"}
    world.becomes(id_, *DONE[kind]).run()
    return world


def recorded(world: CoreFixture) -> Any:
    return world.status.get("buildID" if world.there["kind"] == "AgentBuild" else "deploymentID")


def ready(world: CoreFixture) -> str | None:
    found = world.condition("Ready")
    return found[0] if found else None


def restored(world: CoreFixture, *, status: bool = True, uid: str = "uid-anew", **spec: Any) -> CoreFixture:
    """The world with the same resource recreated from its backup: another uid, a later creation, no finalizer."""
    anew = copy.deepcopy(world)
    anew.there["metadata"] |= {"uid": uid, "finalizers": [], "creationTimestamp": "2026-11-24T12:08:00Z"}
    anew.now = world.now + timedelta(minutes=10)
    anew.there["spec"] |= spec
    anew.calls = []
    if not status:
        anew.there["status"] = {"observedGeneration": -1}
    return anew


def adopting(kind: str, id_: str) -> dict[str, Any]:
    return {"adopt": {FIELD[kind]: id_}}


def creates(world: CoreFixture) -> int:
    return sum(world.made(one) for one in CREATES)


# --- taken over -------------------------------------------------------------------------------------------------------


@KINDS
def test_a_restored_status_takes_its_object_over_and_creates_nothing(kind: str) -> None:
    before = finished(kind)
    world = restored(before).settle_down()

    assert (recorded(world), creates(world)) == (recorded(before), 0)
    assert ready(world) == "True"
    assert world.memory["writtenFor"] == "uid-anew"
    assert world.keeps_the_contract()


@KINDS
def test_spec_adopt_takes_the_object_over_and_creates_nothing(kind: str) -> None:
    before = finished(kind)
    world = restored(before, status=False, **adopting(kind, recorded(before))).settle_down()

    assert (recorded(world), creates(world)) == (recorded(before), 0)
    assert ready(world) == "True"


@KINDS
def test_a_backup_without_a_status_creates_a_new_object(kind: str) -> None:
    world = restored(finished(kind), status=False).settle_down()

    assert creates(world) == 1


@KINDS
def test_what_was_taken_over_is_followed_without_further_writes(kind: str) -> None:
    world = restored(finished(kind)).settle_down()
    writes = world.made(calls.SaveStatus)

    world.settle_down(5)

    assert world.made(calls.SaveStatus) == writes
    assert ready(world) == "True"


@pytest.mark.parametrize("kind", ["production", "preview"])
def test_a_deployment_that_was_taken_over_is_deleted_with_its_resource(kind: str) -> None:
    world = restored(finished(kind)).settle_down()

    world.delete().settle_down()

    assert (world.obj, world.live()) == (None, ["build-1"])


def test_a_running_build_that_was_taken_over_is_cancelled_with_its_resource() -> None:
    before = a_build()
    before.run()
    world = restored(before).settle_down()

    world.delete().settle_down()

    assert (world.obj, world.live()) == (None, [])


@pytest.mark.parametrize("kind", ["production", "preview"])
def test_the_deletion_of_a_restored_resource_that_had_no_pass_yet_removes_its_deployment(kind: str) -> None:
    world = restored(finished(kind))
    world.there["metadata"]["finalizers"] = ["agentex.scale.com/remote"]

    world.delete().settle_down()

    assert (world.obj, world.live()) == (None, ["build-1"])


def test_a_changed_spec_replaces_a_preview_that_was_taken_over() -> None:
    before = finished("preview")
    world = restored(before).settle_down()

    world.records["build-2"] = replace(world.records["build-1"], id="build-2")
    world.edit(buildID="build-2").settle_down(4)
    newer = recorded(world)
    world.becomes(newer, *DONE["preview"]).settle_down()

    assert newer != recorded(before)
    assert set(world.live()) == {"build-1", "build-2", newer}


def test_a_changed_input_replaces_a_build_that_was_taken_over() -> None:
    before = a_build()
    before.run()
    world = restored(before).settle_down()

    world.source = "content-2"
    world.settle_down()

    assert world.live() == [recorded(world)] != [recorded(before)]


@KINDS
def test_an_adoption_by_itself_makes_nothing_new_although_the_inputs_differ(kind: str) -> None:
    before = finished(kind)
    changed = {"buildArgs": [{"name": "A", "value": "1"}]} if kind == "build" else {"buildID": "build-2"}
    world = restored(before, **changed).settle_down()

    assert (recorded(world), creates(world)) == (recorded(before), 0)


@KINDS
def test_spec_adopt_has_no_effect_once_something_is_on_record(kind: str) -> None:
    world = finished(kind)
    id_ = recorded(world)

    world.edit(**adopting(kind, "another")).settle_down()

    assert (recorded(world), ready(world)) == (id_, "True")


@KINDS
def test_removing_spec_adopt_after_the_adoption_changes_nothing(kind: str) -> None:
    before = finished(kind)
    world = restored(before, status=False, **adopting(kind, recorded(before))).settle_down()

    world.edit(adopt=None).settle_down()

    assert (recorded(world), creates(world), ready(world)) == (recorded(before), 0, "True")


@KINDS
def test_a_resource_is_restored_twice(kind: str) -> None:
    before = finished(kind)
    world = restored(restored(before).settle_down(), uid="uid-third").settle_down()

    assert (recorded(world), creates(world)) == (recorded(before), 0)


@KINDS
def test_a_status_of_an_older_version_takes_its_object_over(kind: str) -> None:
    before = finished(kind)
    world = restored(before)
    del world.memory["writtenFor"]
    world.settle_down()

    assert (recorded(world), creates(world)) == (recorded(before), 0)


def restored_with_an_open_create(kind: str, answer: Any) -> CoreFixture:
    """A resource restored 5 s after its backup, in which the answer to a create was missing."""
    before = script(MAKERS[kind](), calls.CreateBuild if kind == "build" else calls.CreateDeployment, answer)
    before.run()
    world = restored(before)
    world.now = before.now + timedelta(seconds=5)
    return world


@KINDS
def test_a_create_that_was_open_at_the_backup_is_found_by_its_token(kind: str) -> None:
    world = restored_with_an_open_create(kind, lose)
    world.settle_down()

    (id_,) = set(world.records) - {"build-1"}
    assert (recorded(world), creates(world)) == (id_, 0)


@KINDS
def test_a_create_that_was_open_at_the_backup_and_never_came_is_made_once(kind: str) -> None:
    world = restored_with_an_open_create(kind, never)
    world.run()
    assert world.condition("Ready") == ("Unknown", "ConfirmingCreate")

    world.settle_down(40)

    assert (creates(world), len(set(world.records) - {"build-1"})) == (1, 1)


def test_a_status_written_back_later_keeps_one_production_deployment() -> None:
    before = finished("production")
    status = copy.deepcopy(before.there["status"])
    world = restored(before, status=False).settle_down(2)
    newer = recorded(world)
    world.becomes("remote-2", "superseded", RemoteState.SUPERSEDED) if newer != "remote-2" else None
    world.becomes(newer, *DONE["production"]).run()
    world.there["status"] = status
    world.settle_down()

    assert (recorded(world), creates(world)) == (newer, 1)


def test_a_status_written_back_later_keeps_one_preview() -> None:
    before = finished("preview")
    status = copy.deepcopy(before.there["status"])
    world = restored(before, status=False)
    world.run()
    world.there["status"] = status
    world.settle_down()

    assert world.live() == ["build-1", recorded(before)]


# --- refused ----------------------------------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize(("state", "word"), [(RemoteState.FAILED, "failed"), (RemoteState.CANCELLED, "cancelled"),
                                             (RemoteState.DELETED, "deleted"), (RemoteState.SUPERSEDED, "superseded")])
def test_an_ended_object_is_refused(kind: str, state: RemoteState, word: str) -> None:
    before = finished(kind)
    before.becomes(recorded(before), word, state)
    if kind == "build" and state is RemoteState.SUPERSEDED:
        return
    world = restored(before, status=False, **adopting(kind, recorded(before))).settle_down()

    assert (world.condition("Stalled"), creates(world)) == (("True", "AdoptionTargetEnded"), 0)
    assert world.keeps_the_contract()


@KINDS
def test_an_object_that_does_not_exist_is_refused(kind: str) -> None:
    world = restored(finished(kind), status=False, **adopting(kind, "nothing")).settle_down()

    assert (world.condition("Stalled"), creates(world)) == (("True", "AdoptionTargetNotFound"), 0)


@KINDS
def test_removing_spec_adopt_after_a_refusal_creates_a_new_object(kind: str) -> None:
    world = restored(finished(kind), status=False, **adopting(kind, "nothing")).settle_down()

    world.edit(adopt=None).settle_down()

    assert creates(world) == 1


def test_a_build_of_another_agent_is_refused() -> None:
    before = finished("build")
    world = restored(before, status=False, agentName="other", **adopting("build", recorded(before))).settle_down()

    assert (world.condition("Stalled"), creates(world)) == (("True", "AdoptionTargetMismatch"), 0)


def test_a_preview_does_not_take_a_production_deployment_over() -> None:
    before = finished("production")
    world = restored(before, status=False, preview={"ttl": "1h"}, **adopting("production", recorded(before)))
    world.settle_down()

    assert (world.condition("Stalled"), creates(world)) == (("True", "AdoptionTargetMismatch"), 0)


@KINDS
@pytest.mark.parametrize("status", [True, False])
def test_an_object_that_a_living_resource_holds_is_refused_and_left_alone(kind: str, status: bool) -> None:
    before = finished(kind)
    named = {} if status else adopting(kind, recorded(before))
    world = restored(before, status=status, **named)
    world.there["metadata"]["name"] = "copy"
    world.others = [before.there]
    world.settle_down()
    stalled = next(one for one in world.status["conditions"] if one["type"] == "Stalled")

    assert (stalled["reason"], creates(world)) == ("AdoptionTargetHeld", 0)
    assert f"{before.there['kind']} team/quote holds" in stalled["message"]
    assert world.keeps_the_contract()

    world.delete().settle_down()
    assert (world.obj, recorded(before) in world.live()) == (None, True)


def test_a_refusal_names_the_object_that_the_other_resource_holds() -> None:
    before = finished("preview")
    holder = restored(before, status=False, uid="uid-holder", **adopting("preview", recorded(before))).settle_down()
    world = restored(before)
    world.records["newer"] = replace(world.records[recorded(before)], id="newer")
    world.there["status"]["deploymentID"] = "newer"
    world.memory["predecessorID"] = recorded(before)
    world.others = [holder.there]
    world.settle_down()
    stalled = next(one for one in world.status["conditions"] if one["type"] == "Stalled")

    assert f"holds the remote deployment {recorded(before)}, which the restored status" in stalled["message"]


@KINDS
def test_an_object_is_taken_over_when_its_holder_has_gone(kind: str) -> None:
    before = finished(kind)
    world = restored(before, status=False, **adopting(kind, recorded(before)))
    world.others = [before.there]
    world.settle_down()

    world.others = []
    world.settle_down()

    assert (recorded(world), creates(world)) == (recorded(before), 0)


@KINDS
def test_a_resource_that_took_the_object_over_holds_it(kind: str) -> None:
    before = finished(kind)
    holder = restored(before, status=False, **adopting(kind, recorded(before))).settle_down()
    world = restored(before, uid="uid-third")
    world.others = [holder.there]
    world.settle_down()

    assert (world.condition("Stalled"), creates(world)) == (("True", "AdoptionTargetHeld"), 0)


# --- undecided --------------------------------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize("error", [Unavailable("away"), Unauthorized("denied", status=403)])
def test_nothing_is_created_while_the_object_cannot_be_read(kind: str, error: Exception) -> None:
    before = finished(kind)
    world = restored(before, status=False, **adopting(kind, recorded(before)))
    script(world, calls.ReadCandidate, lambda _call, _perform: error)
    world.run()
    assert (ready(world), creates(world)) == ("False", 0)

    world.settle_down()
    assert (recorded(world), creates(world)) == (recorded(before), 0)


@pytest.mark.parametrize(("kind", "status", "crash", "at"), samples.matrix(
    list(MAKERS), [True, False], [crash_before, crash_after], range(9), every=3))
def test_a_crash_at_any_call_takes_the_object_over_once(kind: str, status: bool, crash: Any, at: int) -> None:
    before = finished(kind)
    world = restored(before, status=status, **({} if status else adopting(kind, recorded(before))))
    world.answers = [lambda _call, perform: perform()] * at + [crash]
    with contextlib.suppress(CrashError):
        world.run()
    world.answers = []
    world.settle_down()

    assert (recorded(world), creates(world)) == (recorded(before), 0)


@KINDS
@pytest.mark.parametrize("at", range(9))
def test_a_lost_answer_to_any_call_takes_the_object_over_once(kind: str, at: int) -> None:
    before = finished(kind)
    world = restored(before, status=False, **adopting(kind, recorded(before)))
    world.answers = [lambda _call, perform: perform()] * at + [lose]
    world.settle_down()

    assert (recorded(world), creates(world)) == (recorded(before), 0)
