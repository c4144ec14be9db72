"""AgentBuild's rules, each seen through a whole pass in a world of values."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.core.core_fixture import (
    CrashError,
    a_build,
    conflict,
    crash_after,
    crash_before,
    lose,
    never,
    script,
)

from agentex_operator.core import calls, reasons
from agentex_operator.core.errors import InvalidInput, NotReady, Rejected, Throttled, Unauthorized, Unavailable
from agentex_operator.core.plan import AccountProblem
from agentex_operator.core.remote import RemoteState

SUCCESS = ("success", RemoteState.SUCCEEDED)

def built(**spec):
    """A build that ended well."""
    world = a_build(**spec)
    world.run()
    world.becomes("remote-1", *SUCCESS).run()
    return world

def test_a_new_build_is_created_once_and_followed():
    world = a_build()

    world.run()

    assert world.live() == ["remote-1"]
    assert world.status["buildID"] == "remote-1"
    assert "pendingCreate" not in world.memory
    assert world.condition("Ready") == ("Unknown", "Queued")
    assert world.keeps_the_contract()

def test_it_is_ready_when_the_remote_succeeds():
    world = built()

    assert world.condition("Ready") == ("True", "Succeeded")
    assert world.condition("Reconciling") is None
    assert world.status["phase"] == "Ready"
    assert world.keeps_the_contract()

def test_a_pass_over_what_rests_writes_nothing():
    world = built()
    before = world.made(calls.SaveStatus)

    world.settle_down(5)

    assert world.made(calls.SaveStatus) == before
    assert world.made(calls.CreateBuild) == 1

def test_the_finalizer_and_the_intent_are_written_before_the_create():
    world = a_build()

    world.run()

    kinds = [type(call) for call in world.calls]
    create = kinds.index(calls.CreateBuild)
    assert kinds.index(calls.AddFinalizer) < create
    assert kinds[create - 1] is calls.WriteIntent

@pytest.mark.parametrize("answer", [lose, never], ids=["it happened", "it did not happen"])
def test_a_lost_answer_ends_with_exactly_one_build(answer):
    world = script(a_build(), calls.CreateBuild, answer)

    world.settle_down()

    assert len(world.records) == 1
    assert world.status["buildID"] == "remote-1"

def test_while_an_answer_is_missing_nothing_is_sent_again():
    world = script(a_build(), calls.CreateBuild, never)
    world.run()

    world.run()

    assert world.made(calls.CreateBuild) == 1
    assert world.condition("Ready") == ("Unknown", "ConfirmingCreate")
    assert world.keeps_the_contract()

@pytest.mark.parametrize("kind", [calls.AddFinalizer, calls.WriteIntent, calls.CreateBuild, calls.SaveStatus])
@pytest.mark.parametrize("when", [crash_before, crash_after])
def test_a_crash_at_any_call_ends_with_exactly_one_build(kind, when):
    world = script(a_build(), kind, when)
    with pytest.raises(CrashError):
        world.settle_down()

    world.settle_down()

    assert len(world.records) == 1
    assert world.status["buildID"] == "remote-1"

def test_a_late_commit_beside_the_second_create_is_cancelled():
    world = script(a_build(), calls.CreateBuild, never)
    world.settle_down(3)
    late = world.records["remote-1"]
    world.records["remote-0"] = type(late)(**{f: getattr(late, f) for f in late.__slots__} | {"id": "remote-0"})

    world.settle_down()

    assert world.live() == ["remote-1"]
    assert world.status["buildID"] == "remote-1"

def test_a_conflict_on_the_intent_sends_nothing():
    world = script(a_build(), calls.WriteIntent, conflict)

    planned = world.run()

    assert world.records == {}
    assert planned.failed

def test_changed_inputs_cancel_the_running_build_before_the_next():
    world = a_build()
    world.run()
    world.source = "content-2"

    world.settle_down()

    assert world.records["remote-1"].state is RemoteState.CANCELLED
    assert world.live() == ["remote-2"]
    assert world.records["remote-1"].image_tag != world.records["remote-2"].image_tag

def test_changed_inputs_rebuild_what_was_built():
    world = built()
    world.source = "content-2"

    world.settle_down()

    assert world.status["buildID"] == "remote-2"
    assert world.made(calls.Remove) == 0

def test_a_source_that_changes_while_it_is_looked_at_and_goes_back_is_built_as_it_is_in_the_end():
    def flicker(_call, perform):
        world.source = "content-3"
        staged = perform()
        world.source = "content-2"
        return staged

    world = script(built(), calls.StageContext, flicker)
    world.source = "content-2"

    world.settle_down()

    assert (world.status["buildID"], world.status["contextDigest"]) == ("remote-3", "hash of content-2")

def test_cancel_ends_the_running_build_and_says_so():
    world = a_build()
    world.run()

    world.edit(cancel=True).settle_down()

    assert world.live() == []
    assert world.condition("Stalled") == ("True", "Cancelled")
    assert world.made(calls.Remove) == 1

def test_cancelled_beside_an_image_whose_source_cannot_be_read_it_looks_again():
    world = a_build()
    world.run()
    world.becomes("remote-1", "success", RemoteState.SUCCEEDED).run()
    world.source = NotReady(reasons.CONFIG_MAP_NOT_FOUND, "There is no ConfigMap 'quote' here.")
    script(world, calls.SaveStatus, conflict)

    world.edit(cancel=True).settle_down(2)

    assert world.condition("Ready") == ("False", "Cancelled")
    assert world.last is not None
    assert world.last.look_again is not None


def test_uncancelling_builds_again():
    world = a_build()
    world.run()
    world.edit(cancel=True).settle_down()

    world.edit(cancel=False).settle_down()

    assert world.live() == ["remote-2"]

def test_a_build_beyond_its_timeout_is_cancelled_and_retried():
    world = a_build(timeout="10m", retries=1)
    world.run()

    world.settle_down(30)

    assert [record.state for record in world.records.values()] == [RemoteState.CANCELLED] * 2
    assert world.condition("Stalled") == ("True", "BuildTimedOut")

def test_a_failed_build_tells_the_line_that_says_why():
    world = a_build()
    world.run()
    world.becomes("remote-1", "failed", RemoteState.FAILED)

    world.settle_down()

    assert world.condition("Stalled") == ("True", "BuildFailed")
    assert "no such package" in world.status["conditions"][0]["message"]
    assert world.status["logTail"].startswith("Step 1/2")
    assert len(world.records) == 1


def test_a_log_that_cannot_be_had_just_now_is_asked_for_again():
    world = a_build()
    world.run()
    world.becomes("remote-1", "failed", RemoteState.FAILED)
    script(world, calls.ReadLogTail, lambda *_: Throttled("slow down"))

    world.run()
    assert world.condition("Stalled") == ("True", "BuildFailed")
    world.settle_down(2)

    assert "no such package" in world.status["conditions"][0]["message"]


def test_an_error_of_the_provider_is_tried_again_as_often_as_allowed():
    world = a_build(retries=2)
    for attempt in (1, 2, 3):
        world.run()
        world.becomes(f"remote-{attempt}", "error", RemoteState.ERRORED)

    world.settle_down()

    assert len(world.records) == 3
    assert world.condition("Stalled") == ("True", "BuildFailed")

def test_asked_to_rebuild_it_builds_once_more():
    world = built().annotate("rebuild-requested-at", "now")

    world.settle_down()

    assert len(world.records) == 2

def test_a_rebuild_that_was_handled_is_not_forgotten_with_its_annotation():
    world = built().annotate("rebuild-requested-at", "once").settle_down()
    world.obj["metadata"]["annotations"].pop("agentex.scale.com/rebuild-requested-at")
    world.edit(platform="linux/arm64").settle_down()
    creates = world.made(calls.CreateBuild)

    world.annotate("rebuild-requested-at", "once").settle_down()

    assert world.made(calls.CreateBuild) == creates
    assert world.status["lastHandledRebuildRequestedAt"] == "once"

def test_suspended_from_the_start_it_creates_nothing_and_holds_nobody_up():
    world = a_build(suspend=True)

    world.settle_down()

    assert world.records == {}
    assert world.condition("Ready") == ("True", "Suspended")
    assert world.keeps_the_contract()

def test_suspended_while_running_it_is_still_deleted_cleanly():
    world = a_build()
    world.run()
    world.edit(suspend=True).run()

    world.delete().settle_down()

    assert world.obj is None
    assert world.live() == []

def test_deleting_a_running_build_cancels_it_first():
    world = a_build()
    world.run()

    world.delete().settle_down()

    assert world.obj is None
    assert world.live() == []

def test_deleting_a_finished_build_asks_nobody():
    world = built().delete()
    before = len(world.calls)

    world.run()

    assert world.obj is None
    assert [type(call) for call in world.calls[before:]] == [calls.RemoveFinalizer]

def test_an_orphaned_build_goes_on_running():
    world = a_build(deletionPolicy="Orphan")
    world.run()

    world.delete().run()

    assert world.obj is None
    assert world.live() == ["remote-1"]

def test_deleted_with_an_answer_missing_it_waits_until_nothing_can_come():
    world = script(a_build(), calls.CreateBuild, never)
    world.run()
    deleted_at = world.now

    world.delete().settle_down(40)

    assert world.obj is None
    assert world.now - deleted_at >= world.policy.longest_life

def test_deleted_while_its_account_is_gone_it_waits_and_says_so():
    world = a_build()
    world.run()
    account, world.account = world.account, AccountProblem(reasons.ACCOUNT_NOT_FOUND, "There is no account. Create it.")

    world.delete().settle_down(3)
    assert world.condition("Ready") == ("False", "AccountNotFound")

    world.account = account
    world.settle_down()
    assert world.obj is None
    assert world.live() == []

def test_without_an_account_it_waits_and_names_the_next_step():
    world = a_build()
    world.account = AccountProblem(reasons.ACCOUNT_NOT_FOUND, "There is no account. Create it.")

    world.run()

    assert world.condition("Ready") == ("False", "AccountNotFound")
    assert world.condition("Reconciling") == ("True", "AccountNotFound")
    assert world.keeps_the_contract()

@pytest.mark.parametrize(("error", "condition"), [
    (NotReady(reasons.CONFIG_MAP_NOT_FOUND, "There is none. Create it."), "Reconciling"),
    (InvalidInput(reasons.CORRUPT_CONTEXT, "It is truncated. Upload it again."), "Stalled"),
])


def test_an_unreadable_source_is_said_and_creates_nothing(error, condition):
    world = a_build()
    world.source = error

    world.run()

    assert world.records == {}
    assert world.condition(condition) == ("True", error.reason)
    assert world.condition("SourceReady") == ("False", error.reason)
    assert world.keeps_the_contract()

def test_a_source_that_goes_away_does_not_unmake_the_image():
    world = built()
    world.source = NotReady(reasons.CONFIG_MAP_NOT_FOUND, "There is none. Create it.")

    world.settle_down()

    assert world.condition("Ready") == ("True", "Succeeded")
    assert world.condition("SourceReady") == ("False", "ConfigMapNotFound")

def test_the_agents_name_is_used_for_the_very_first_build_only():
    world = built()
    world.source = "content-2"

    world.settle_down()

    first, second = [call.request for call in world.calls if isinstance(call, calls.CreateBuild)]
    assert (first.agent_name, first.agent_id) == ("quote", None)
    assert (second.agent_name, second.agent_id) == (None, "id of quote")

def test_a_name_that_is_taken_by_somebody_unseen_stalls_and_is_not_tried_in_a_loop():
    world = a_build()

    def taken(_call, _perform):
        return Rejected("agent name is in use", status=400)

    script(world, calls.CreateBuild, taken)
    world.settle_down(1)

    assert world.condition("Stalled") == ("True", "AgentNameTaken")
    assert "spec.agentID" in world.status["conditions"][0]["message"]
    world.run()
    assert world.made(calls.CreateBuild) == 1

def test_a_refused_name_that_is_our_own_lost_create_is_adopted():
    world = a_build()

    def lost_then_refused(call, perform):
        perform()
        return Rejected("agent name is in use", status=400)

    script(world, calls.CreateBuild, lost_then_refused)
    world.run()

    assert world.status["buildID"] == "remote-1"
    assert len(world.records) == 1

def test_a_refused_name_with_an_agent_behind_it_is_built_by_id():
    world = a_build()

    def refuse(_call, _perform):
        world.agents["quote"] = "a-7"
        return Rejected("agent name is in use", status=400)

    script(world, calls.CreateBuild, refuse)
    world.run()

    assert world.records["remote-1"].agent_id == "a-7"

def test_a_refused_create_is_tried_again_slowly_and_says_nothing_new():
    world = a_build(agentName=None, agentID="a-1")
    for _ in range(2):
        script(world, calls.CreateBuild, lambda _c, _p: Rejected("no such platform", status=422))
    world.run()
    conditions = world.status["conditions"]

    world.now += world.policy.resync
    world.run()

    assert world.made(calls.CreateBuild) == 2
    assert world.status["conditions"] == conditions
    world.now += world.policy.resync
    world.run()
    assert world.live() == ["remote-1"]

def test_a_refusal_that_cannot_be_about_the_name_is_not_taken_for_one():
    world = a_build()
    script(world, calls.CreateBuild, lambda _c, _p: Rejected("too large", status=413))
    world.run()

    assert world.condition("Ready") == ("False", "RejectedByRemote")
    assert "Correct the spec" in world.status["conditions"][0]["message"]

def test_a_context_that_is_refused_is_downloaded_again_slowly_only():
    world = a_build(source={"http": {"url": "https://x.example.com/a", "digest": "sha256:" + "0" * 64}})
    script(world, calls.StageContext, lambda _c, _p: InvalidInput(reasons.DIGEST_MISMATCH, "another digest"))

    assert world.run().look_again == world.policy.resync

def test_a_remote_that_is_away_does_not_unmake_ready():
    world = built()
    script(world, calls.LookForOurs, lambda _c, _p: Unavailable("timeout"))
    before = dict(world.status)

    planned = world.run()

    assert world.status == before
    assert planned.failed

def test_a_404_is_believed_after_a_while_and_then_built_again():
    world = built()
    del world.records["remote-1"]

    world.run()
    assert world.condition("Ready") == ("Unknown", "RemoteMissing")
    assert world.keeps_the_contract()
    world.settle_down()

    assert world.status["attempt"] == 2
    assert len(world.live()) == 1

def test_a_word_nobody_told_us_is_not_an_end():
    world = a_build()
    world.run()
    world.becomes("remote-1", "hibernating", RemoteState.UNKNOWN).run()

    assert world.condition("Ready") == ("Unknown", "UnrecognizedExternalStatus")
    assert "hibernating" in world.status["conditions"][0]["message"]
    assert len(world.records) == 1

def test_what_ended_is_not_taken_back_by_a_stale_answer():
    world = built().becomes("remote-1", "running", RemoteState.RUNNING)

    world.settle_down(3)

    assert world.condition("Ready") == ("True", "Succeeded")

def test_a_restored_backup_without_status_adopts_what_is_there():
    world = built()
    world.obj["status"] = {"observedGeneration": -1}

    world.settle_down()

    assert world.status["buildID"] == "remote-1"
    assert len(world.records) == 1

def test_a_pinned_tag_carries_the_owner_in_the_source_ref():
    world = a_build(image={"name": "quote", "tag": "v1"})
    script(world, calls.CreateBuild, lose)

    world.settle_down()

    assert len(world.records) == 1
    assert world.records["remote-1"].image_tag == "v1"
    assert world.status["buildID"] == "remote-1"

def test_registering_an_image_stages_nothing():
    world = a_build(source={"image": {"url": "registry.example/quote:1"}})

    world.run()

    assert world.made(calls.StageContext) == 0
    assert world.live() == ["remote-1"]

@pytest.mark.parametrize(("wish", "backs_off"), [(timedelta(seconds=2), False), (None, True)])
def test_a_remote_that_names_the_time_to_come_back_is_taken_at_its_word(wish, backs_off):
    world = script(a_build(), calls.CreateBuild, lambda _call, _perform: Throttled("slow down", retry_after=wish))

    ended = world.run()

    assert (ended.look_again, ended.failed) == (wish, backs_off)

def test_an_id_that_names_anothers_build_by_now_is_lost_and_never_cancelled():
    world = a_build()
    world.run()
    world.records["remote-1"] = replace(world.records["remote-1"], image_tag="0123456789ab-0a0b0c0d1")

    world.delete().settle_down(4)

    assert world.obj is None
    assert world.made(calls.Remove) == 0

def test_a_create_that_was_answered_with_anothers_id_does_not_take_it():
    world = script(a_build(), calls.CreateBuild, lambda _call, perform: replace(perform(), id="anothers"))
    world.records["anothers"] = a_strangers(world)

    world.run()
    world.settle_down(20)

    assert world.status["buildID"] != "anothers"

def a_strangers(world):
    probe = a_build()
    probe.run()
    return replace(probe.records["remote-1"], id="anothers", image_tag="1", state=RemoteState.SUCCEEDED)


@pytest.mark.parametrize("error", [Unavailable("503", status=503), Unauthorized("forbidden", status=403)])
def test_a_status_that_cannot_be_written_ends_the_pass_which_comes_again(error):
    world = a_build()
    for _ in range(3):
        script(world, calls.SaveStatus, lambda _call, _perform: error)

    ended = world.run()

    assert [type(call) for call in world.calls].count(calls.SaveStatus) == 1
    assert ended.failed
