"""What the model checker (tests/model) found in the production rules, each as the shortest story that leads there."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.core.core_fixture import MANIFEST, a_build, a_deployment, a_preview, never, script

from agentex_operator.core import calls
from agentex_operator.core.errors import Rejected, Unauthorized, Unavailable
from agentex_operator.core.remote import RemoteState


def hang(hanging):
    """The answer to a create that gets lost on its way; the call is kept, to take effect later."""
    def answer(call, perform):
        hanging.append(call)
        return never(call, perform)

    return answer


def the_first_hangs_and_the_second_is_refused(world, kind, answer):
    """A create that takes effect only after its repetition got a definite no; the world when it has."""
    hanging: list[Any] = []
    script(world, kind, hang(hanging))
    world.run()
    world.now += timedelta(seconds=31)
    script(world, kind, answer)
    world.run()
    world.create(hanging[0])
    world.now += timedelta(seconds=31)
    return world


def two_builds_of_one_create():
    """The first hung, was repeated, and took effect after all."""
    world = a_build()
    hanging: list[Any] = []
    script(world, calls.CreateBuild, hang(hanging))
    world.run()
    world.now += timedelta(seconds=31)
    world.run()
    world.create(hanging[0])
    return world


@pytest.mark.parametrize("refusal", [Rejected("no", status=422), Unauthorized("the key was rotated", status=401)])
@pytest.mark.parametrize(("make", "kind", "id_field"), [
    (a_build, calls.CreateBuild, "buildID"),
    (a_preview, calls.CreateDeployment, "deploymentID"),
])
def test_what_took_effect_after_its_repetition_was_refused_is_adopted_not_removed(refusal, make, kind, id_field):
    world = the_first_hangs_and_the_second_is_refused(make(), kind, lambda _call, _perform: refusal)
    late = max(world.records)

    world.run()

    assert world.status[id_field] == late
    assert world.made(calls.Remove) == 0


def test_an_unfinished_preview_that_is_replaced_does_not_come_between_the_intent_and_its_create():
    world = a_preview()
    world.run()

    world.edit(manifest={"inline": MANIFEST.replace("Answers", "Answers better")}).run()

    assert world.condition("Ready") == ("Unknown", "Deploying")
    assert [id_ for id_ in world.live() if id_ != "build-1"] == ["remote-3"]


def test_a_build_waits_for_a_duplicate_that_is_leaving_before_it_writes_down_the_next_create():
    world = two_builds_of_one_create()
    world.becomes("remote-1", "success", RemoteState.SUCCEEDED)
    world.becomes("remote-2", "cancelling", RemoteState.LEAVING)

    world.edit(buildArgs=[{"name": "N", "value": "2"}]).run()

    assert world.condition("Ready") == ("Unknown", "Replacing")
    assert "pendingCreate" not in world.memory


def test_a_late_twin_that_outlives_the_recorded_deployment_takes_its_place():
    world = a_deployment()
    hanging: list[Any] = []
    script(world, calls.CreateDeployment, hang(hanging))
    world.run()
    world.now += timedelta(seconds=31)
    world.run()
    recorded = world.status["deploymentID"]
    world.create(hanging[0])
    late = max(world.records)
    del world.records[recorded]

    world.becomes(late, "healthy", RemoteState.SUCCEEDED).settle_down(4)

    assert world.status["deploymentID"] == late
    assert world.condition("Ready") == ("True", "Healthy")


def test_a_cancelled_build_and_its_duplicate_are_removed_one_after_the_other_not_in_turns():
    world = two_builds_of_one_create()

    world.edit(cancel=True).run()

    assert world.made(calls.Remove) == 1


@pytest.mark.parametrize("answer", [
    lambda _call, _perform: Rejected("no", status=400),
    lambda _call, _perform: None,
], ids=["refused", "accepted and not seen"])
@pytest.mark.parametrize("make", [a_build, a_preview])
def test_a_removal_is_asked_for_once_in_a_pass_however_long_the_pass_takes(make, answer):
    world = make()
    world.run()
    world.policy = replace(world.policy, recreate_delay=timedelta(seconds=1))

    def slowly(call, perform):
        world.now += timedelta(seconds=2)
        return answer(call, perform) if isinstance(call, calls.Remove) else perform()

    world.answers = [slowly] * 60
    world.delete().run()

    assert world.made(calls.Remove) == 1
    assert world.condition("Ready") == ("False", "Deleting")


def test_cancel_starts_no_build_although_another_was_asked_for():
    world = a_build()
    world.run()
    world.becomes("remote-1", "success", RemoteState.SUCCEEDED).settle_down(2)

    world.annotate("rebuild-requested-at", "now").edit(cancel=True).run()

    assert world.condition("Ready") == ("False", "Cancelled")
    assert "pendingCreate" not in world.memory
    assert world.status["buildID"] == "remote-1"


def test_an_extension_asked_for_while_the_create_is_open_is_not_swallowed():
    world = script(a_preview(), calls.CreateDeployment, never)
    world.run()
    world.annotate("extend-requested-at", "now")
    world.now += timedelta(hours=1)

    world.run()

    assert world.condition("Ready") == ("Unknown", "Deploying")
    assert [id_ for id_ in world.live() if id_ != "build-1"] == ["remote-2"]


def test_the_removal_of_a_duplicate_does_not_make_it_forget_why_it_cancelled_the_recorded_build():
    world = a_build()
    hanging: list[Any] = []
    script(world, calls.CreateBuild, hang(hanging))
    world.run()
    world.now += timedelta(seconds=31)
    world.run()
    world.edit(cancel=True).settle_down(2)
    world.create(hanging[0])
    world.settle_down(4)

    world.edit(cancel=False).run()

    assert world.condition("Ready") == ("Unknown", "Queued")
    assert world.made(calls.CreateBuild) == 3


def a_name_taken_by_its_own_create():
    """The create took effect, is answered with a conflict, and no list shows it or its agent yet."""
    world, hidden = a_build(), []

    def conflict(_call, perform):
        hidden.append(perform())
        world.records.clear()
        world.agents.clear()
        return Unavailable("the name is taken", status=409)

    script(world, calls.CreateBuild, conflict).run()
    world.records = {one.id: one for one in hidden}
    return world


def test_a_create_that_took_its_own_name_is_adopted_and_not_repeated():
    world = a_name_taken_by_its_own_create()
    assert world.condition("Ready") == ("False", "AgentNameTaken")
    world.now += world.policy.resync

    world.run()

    assert (world.status["buildID"], world.made(calls.CreateBuild)) == ("remote-1", 1)


def test_a_create_that_took_its_own_name_is_removed_with_the_resource():
    world = a_name_taken_by_its_own_create()

    world.delete().settle_down(4)

    assert (world.obj, world.live()) == (None, [])


@pytest.mark.parametrize("rebuilt", [False, True], ids=["its first", "its next, while it is Ready"])
def test_after_a_long_upload_without_an_answer_lists_get_their_time_to_show_what_it_made(rebuilt):
    world = a_build()
    if rebuilt:
        world.run()
        world.becomes("remote-1", "success", RemoteState.SUCCEEDED).settle_down(2)
        world.source = "content-2"
    made = world.made(calls.CreateBuild)

    def takes_minutes(_call, _perform):
        world.now += timedelta(minutes=5)
        return Unavailable("502 from a proxy")

    script(world, calls.CreateBuild, takes_minutes)
    world.run()
    world.now += timedelta(seconds=29)
    world.run()

    assert world.made(calls.CreateBuild) == made + 1
    assert world.condition("Ready") == ("Unknown", "ConfirmingCreate")

    world.now += timedelta(seconds=1)
    world.run()

    assert world.made(calls.CreateBuild) == made + 2
