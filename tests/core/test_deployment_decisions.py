"""AgentDeployment's rules, each seen through a whole pass in a world of values."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.core.core_fixture import (
    ENVIRONMENTS,
    MANIFEST,
    T0,
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

from agentex_operator.api.build import AgentBuild
from agentex_operator.core import calls, ownership, reasons
from agentex_operator.core.errors import NotReady, Rejected, Throttled, Unavailable
from agentex_operator.core.plan import AccountProblem
from agentex_operator.core.remote import RemoteState

HEALTHY = ("healthy", RemoteState.SUCCEEDED)


def healthy(world, id_="remote-2"):
    """The world with its deployment rolled out."""
    world.run()
    world.becomes(id_, *HEALTHY).run()
    return world


def live(world):
    return [id_ for id_ in world.live() if id_ != "build-1"]


def test_a_new_deployment_is_created_once_with_its_token():
    world = a_deployment()

    world.run()

    assert live(world) == ["remote-2"]
    assert ownership.deployment_owner(world.records["remote-2"].token) == "cluster-uid/uid-of-quote"
    assert world.condition("Ready") == ("Unknown", "Deploying")
    assert world.keeps_the_contract()


def test_healthy_is_ready_and_available():
    world = healthy(a_deployment())

    assert world.condition("Ready") == ("True", "Healthy")
    assert world.condition("Available") == ("True", "Healthy")
    assert world.condition("Deployed") == ("True", "Succeeded")
    assert world.keeps_the_contract()


def test_a_pass_over_what_rests_writes_nothing():
    world = healthy(a_deployment())
    writes = world.made(calls.SaveStatus)

    world.settle_down(5)

    assert world.made(calls.SaveStatus) == writes


@pytest.mark.parametrize("kind", [calls.AddFinalizer, calls.WriteIntent, calls.CreateDeployment, calls.SaveStatus])
@pytest.mark.parametrize("when", [crash_before, crash_after])
@pytest.mark.parametrize("make", [a_deployment, a_preview])
def test_a_crash_at_any_call_ends_with_exactly_one_deployment(kind, when, make):
    world = script(make(), kind, when)
    with pytest.raises(CrashError):
        world.settle_down()

    world.settle_down(6)

    assert live(world) == ["remote-2"]
    assert world.status["deploymentID"] == "remote-2"


@pytest.mark.parametrize("answer", [lose, never], ids=["it happened", "it did not happen"])
def test_a_lost_answer_ends_with_exactly_one_deployment(answer):
    world = script(a_deployment(), calls.CreateDeployment, answer)

    world.settle_down()

    assert live(world) == ["remote-2"]


def test_the_preview_keeps_its_expiry_when_its_create_is_sent_again():
    world = script(a_preview(), calls.CreateDeployment, never)

    world.settle_down(6)

    assert world.records["remote-2"].expires_at == T0 + timedelta(hours=1)


def test_a_server_that_drops_our_comment_is_seen_through(monkeypatch):
    world = a_deployment()

    def lose_and_strip(_call, perform):
        record = perform()
        fingerprint = world.memory["pendingCreate"]["fingerprint"]
        kept = {name: getattr(record, name) for name in record.__slots__}
        world.records[record.id] = type(record)(**kept | {"token": None, "fingerprint": fingerprint})
        return lose(None, lambda: None) if False else never(_call, perform)

    monkeypatch.setattr(world, "is_ours", lambda record, _call: record.id.startswith("remote"))
    script(world, calls.CreateDeployment, lose_and_strip)
    world.settle_down()

    assert live(world) == ["remote-2"]
    assert world.status["deploymentID"] == "remote-2"


def test_a_changed_production_deployment_supersedes_and_deletes_nothing():
    world = healthy(a_deployment())

    world.edit(manifest={"inline": MANIFEST.replace("Answers", "Answers better")}).run()
    world.becomes("remote-2", "superseded", RemoteState.SUPERSEDED).becomes("remote-3", *HEALTHY)
    world.settle_down(3)

    assert world.made(calls.Remove) == 0
    assert live(world) == ["remote-3"]
    assert world.condition("Ready") == ("True", "Healthy")
    assert "predecessorID" not in world.memory


def test_while_the_new_one_rolls_out_the_old_one_is_available():
    world = healthy(a_deployment())

    world.edit(manifest={"inline": MANIFEST.replace("Answers", "Answers better")}).run()

    assert world.condition("Available") == ("True", "Replacing")
    assert world.condition("Ready") == ("Unknown", "Deploying")
    assert world.keeps_the_contract()


def test_a_changed_preview_is_replaced_and_the_old_one_removed_when_the_new_one_is_healthy():
    world = healthy(a_preview())

    world.edit(manifest={"inline": MANIFEST.replace("Answers", "Answers better")}).run()
    assert sorted(live(world)) == ["remote-2", "remote-3"]
    world.becomes("remote-3", *HEALTHY).settle_down(4)

    assert live(world) == ["remote-3"]
    assert world.condition("Ready") == ("True", "Healthy")


def test_a_preview_changed_before_it_was_healthy_leaves_nothing_behind():
    world = a_preview()
    world.run()

    world.edit(manifest={"inline": MANIFEST.replace("Answers", "Answers better")}).settle_down(4)

    assert live(world) == ["remote-3"]


def test_a_duplicate_preview_is_condemned_and_removed():
    world = script(a_preview(), calls.CreateDeployment, never)
    world.settle_down(4)
    record = world.records["remote-2"]
    world.records["remote-9"] = type(record)(**{n: getattr(record, n) for n in record.__slots__} | {"id": "remote-9"})

    world.settle_down(4)

    assert live(world) == ["remote-2"]


def test_a_late_production_twin_that_took_over_is_followed_not_deleted():
    world = healthy(a_deployment())
    record = world.records["remote-2"]
    world.records["remote-9"] = type(record)(**{n: getattr(record, n) for n in record.__slots__} | {
        "id": "remote-9", "created_at": record.created_at + timedelta(seconds=3)})
    world.becomes("remote-2", "superseded", RemoteState.SUPERSEDED)

    world.settle_down(3)

    assert world.status["deploymentID"] == "remote-9"
    assert world.made(calls.Remove) == 0
    assert world.condition("Ready") == ("True", "Healthy")


def test_an_expired_preview_rests_ready_and_is_never_recreated():
    world = healthy(a_preview())
    world.now += timedelta(hours=1)
    world.becomes("remote-2", "deleted", RemoteState.DELETED)

    world.settle_down(6)

    assert world.condition("Ready") == ("True", "Expired")
    assert world.condition("Expired") == ("True", "Expired")
    assert world.condition("Available") == ("False", "Expired")
    assert world.status["phase"] == "Expired"
    assert live(world) == []
    assert world.keeps_the_contract()


def test_a_preview_the_remote_forgot_to_expire_is_removed_after_a_grace():
    world = healthy(a_preview())
    world.now += timedelta(hours=1)

    world.run()
    assert live(world) == ["remote-2"]
    world.settle_down(4)

    assert live(world) == []
    assert world.condition("Ready") == ("True", "Expired")


def test_an_expired_preview_revives_when_asked_to_extend():
    world = healthy(a_preview())
    world.now += timedelta(hours=1)
    world.becomes("remote-2", "deleted", RemoteState.DELETED).settle_down(3)

    world.annotate("extend-requested-at", "now").settle_down(2)

    assert live(world) == ["remote-3"]
    assert world.condition("Expired") is None


def test_a_changed_wish_revives_an_expired_preview():
    world = healthy(a_preview())
    world.now += timedelta(hours=1)
    world.becomes("remote-2", "deleted", RemoteState.DELETED).settle_down(3)

    world.edit(preview={"label": "pr-1", "ttl": "2h"}).run()

    assert live(world) == ["remote-3"]


def test_the_user_is_warned_once_before_a_preview_ends():
    world = healthy(a_preview())
    world.now += timedelta(minutes=50)

    world.run()
    world.run()

    notices = [notice.reason for call in world.calls if isinstance(call, calls.SaveStatus) for notice in call.notices]
    assert notices == ["ExpiringSoon"]


def test_on_expiry_delete_removes_the_resource_itself():
    world = healthy(a_preview(onExpiry="Delete"))
    world.now += timedelta(hours=1)
    world.becomes("remote-2", "deleted", RemoteState.DELETED)

    world.settle_down(3)

    assert world.obj is None


def test_on_expiry_delete_is_not_done_to_what_argo_cd_would_recreate():
    world = healthy(a_preview(onExpiry="Delete"))
    world.obj["metadata"]["annotations"] = {"argocd.argoproj.io/tracking-id": "app:…"}
    world.now += timedelta(hours=1)
    world.becomes("remote-2", "deleted", RemoteState.DELETED)

    world.settle_down(3)

    assert world.condition("Ready") == ("True", "Expired")
    notices = [notice.reason for call in world.calls if isinstance(call, calls.SaveStatus) for notice in call.notices]
    assert notices.count(reasons.EXPIRY_RETAINED) == 1


def test_of_an_expired_preview_that_is_gone_nobody_is_asked_any_more_and_no_account_is_needed():
    world = healthy(a_preview())
    world.now += timedelta(hours=1)
    world.becomes("remote-2", "deleted", RemoteState.DELETED).settle_down(6)
    before = len(world.calls)
    world.account = AccountProblem(reasons.ACCOUNT_NOT_READY, "Its own first pass has yet to come.", temporary=True)

    world.run()

    assert world.condition("Ready") == ("True", "Expired")
    assert [call for call in world.calls[before:] if not isinstance(call, calls.ReadText)] == []


def test_a_text_that_was_read_too_early_is_read_again_before_anything_is_sent():
    world = a_deployment(environments={"configMapKeyRef": {"name": "texts", "key": "environments.yaml"}})
    world.texts["texts"] = ENVIRONMENTS
    healthy(world)
    outdated = f"{ENVIRONMENTS}# once\n"
    script(world, calls.ReadText, lambda _call, _perform: outdated)

    world.run()

    assert live(world) == ["remote-2"]
    assert world.condition("Ready") == ("True", "Healthy")


def test_an_expired_preview_ends_though_its_config_map_went_with_the_branch():
    world = a_preview(onExpiry="Delete")
    world.edit(manifest={"configMapKeyRef": {"name": "pr-1", "key": "manifest.yaml"}})
    world.texts["pr-1"] = MANIFEST
    healthy(world)
    world.now += timedelta(hours=1)
    world.becomes("remote-2", "deleted", RemoteState.DELETED)
    world.texts["pr-1"] = NotReady(reasons.CONFIG_MAP_NOT_FOUND, "There is no ConfigMap 'pr-1' here.")

    world.settle_down(3)

    assert world.obj is None


@pytest.mark.parametrize("answer", [Rejected("no such cluster", status=422), Unavailable("timeout")])
def test_a_preview_whose_create_never_worked_did_not_expire(answer):
    world = a_preview(ttl="10m")
    script(world, calls.CreateDeployment, lambda *_: answer)
    world.run()
    world.now += timedelta(minutes=11)
    script(world, calls.CreateDeployment, lambda *_: answer)

    world.run()

    assert world.condition("Expired") is None
    assert world.condition("Ready") in {("False", "RejectedByRemote"), ("False", "RemoteUnavailable")}


def test_a_preview_that_is_created_late_gets_its_whole_time():
    world = a_preview(ttl="10m")
    script(world, calls.CreateDeployment, lambda *_: Unavailable("timeout"))
    world.run()
    world.now += timedelta(minutes=11)

    world.settle_down(3)

    assert world.records["remote-2"].expires_at >= T0 + timedelta(minutes=21)


def test_what_an_expired_preview_was_to_replace_goes_too():
    world = healthy(a_preview())
    world.edit(preview={"label": "pr-1", "ttl": "2h"}).run()
    world.becomes("remote-3", "deleted", RemoteState.DELETED)
    world.now += timedelta(hours=3)

    world.settle_down(6)

    assert world.condition("Ready") == ("True", "Expired")
    assert live(world) == []


def test_deleting_removes_the_remote_and_lets_go():
    world = healthy(a_deployment())

    world.delete().settle_down(4)

    assert world.obj is None
    assert live(world) == []


def test_deleting_a_superseded_one_deletes_nothing():
    world = healthy(a_deployment())
    world.becomes("remote-2", "superseded", RemoteState.SUPERSEDED).run()

    world.delete().settle_down(4)

    assert world.obj is None
    assert world.made(calls.Remove) == 0


def test_a_failed_rollout_stalls_with_the_last_event_and_is_deleted_with_the_resource():
    world = a_deployment()
    world.run()
    world.becomes("remote-2", "failed", RemoteState.FAILED).run()

    assert world.condition("Stalled") == ("True", "DeploymentFailed")
    assert world.keeps_the_contract()
    world.delete().settle_down(4)
    assert live(world) == []


def test_beyond_its_deadline_it_stalls_but_still_becomes_ready():
    world = a_deployment(progressDeadline="5m")
    world.run()
    world.now += timedelta(minutes=6)

    world.run()
    assert world.condition("Stalled") == ("True", "ProgressDeadlineExceeded")
    world.becomes("remote-2", *HEALTHY).run()

    assert world.condition("Ready") == ("True", "Healthy")


@pytest.mark.parametrize(("word", "state", "reason"), [
    ("superseded", RemoteState.SUPERSEDED, "SupersededExternally"),
    ("deleted", RemoteState.DELETED, "DeletedExternally"),
])
def test_somebody_elses_change_is_reported_not_fought(word, state, reason):
    world = healthy(a_deployment()).becomes("remote-2", word, state)

    world.settle_down(4)

    assert world.condition("Stalled") == ("True", reason)
    assert live(world) == []
    assert world.keeps_the_contract()


def test_somebody_elses_change_is_corrected_when_the_spec_says_so():
    world = healthy(a_deployment(onExternalChange="Correct"))
    world.now += timedelta(minutes=5)
    world.becomes("remote-2", "deleted", RemoteState.DELETED)

    world.settle_down(3)

    assert live(world) == ["remote-3"]


def test_suspended_it_is_watched_and_left_alone():
    world = healthy(a_deployment())

    world.edit(suspend=True, manifest={"inline": MANIFEST.replace("Answers", "Other")}).settle_down(3)

    assert live(world) == ["remote-2"]
    assert world.condition("Ready") == ("True", "Suspended")
    assert world.keeps_the_contract()


def test_suspending_does_not_make_ready_what_has_failed():
    world = a_deployment()
    world.run()
    world.becomes("remote-2", "failed", RemoteState.FAILED).run()

    world.edit(suspend=True).settle_down(3)

    assert world.condition("Ready") == ("False", "DeploymentFailed")
    assert world.condition("Suspended") == ("True", "Suspended")
    assert world.keeps_the_contract()


def test_a_wrong_agent_name_is_said_before_anything_is_sent():
    world = a_deployment(manifest={"inline": MANIFEST.replace("name: quote", "name: other")})

    world.run()

    assert live(world) == []
    assert world.condition("Stalled") == ("True", "InvalidManifest")
    assert world.keeps_the_contract()


def test_an_environment_that_does_not_exist_is_said_with_those_that_do():
    world = a_deployment(environment="prod")

    world.run()

    assert world.condition("Stalled") == ("True", "InvalidEnvironments")
    assert "dev" in world.status["conditions"][0]["message"]


def test_landing_in_another_namespace_than_the_environments_is_said():
    world = a_deployment(environment="dev", environments={"inline": ENVIRONMENTS.replace("team-quote", "elsewhere")})

    healthy(world)

    assert world.condition("Stalled") == ("True", "EnvironmentMismatch")
    assert world.run().look_again == world.policy.reference_resync  # the environments may be in a ConfigMap


def of_a_build(ready):
    """A deployment that follows an AgentBuild, ready or not."""
    world = a_deployment(buildID=None, buildRef={"name": "quote"}, manifest={"fromBuild": True})
    assert world.obj is not None
    world.obj["spec"].pop("buildID")
    theirs = a_build()
    theirs.run()
    if ready:
        theirs.becomes("remote-1", "success", RemoteState.SUCCEEDED).run()
    assert theirs.obj is not None
    world.referenced = AgentBuild.parse(theirs.obj)
    return world


def test_it_waits_for_its_build():
    world = of_a_build(ready=False)

    world.run()

    assert live(world) == []
    assert world.condition("BuildReady") == ("False", "BuildNotReady")
    assert world.condition("Ready") == ("Unknown", "BuildNotReady")
    assert world.keeps_the_contract()


def test_it_waits_for_a_build_that_does_not_exist():
    world = of_a_build(ready=False)
    world.referenced = None

    world.run()

    assert world.condition("Ready") == ("False", "BuildNotFound")


def test_it_deploys_its_build_with_the_manifest_of_that_context():
    world = healthy(of_a_build(ready=True))

    assert world.condition("Ready") == ("True", "Healthy")
    assert world.records["remote-2"].build_id == "remote-1"


def test_it_does_not_deploy_a_manifest_of_another_context():
    world = of_a_build(ready=True)
    world.source = "content-2"

    world.run()

    assert live(world) == []
    assert world.condition("Ready") == ("False", "SourceMoved")


def test_a_production_deployment_given_up_before_it_was_healthy_is_deleted_with_the_resource():
    world = a_deployment()
    world.run()
    script(world, calls.CreateDeployment, lambda _call, _perform: Throttled("slow down"))
    world.edit(manifest={"inline": MANIFEST.replace("Answers", "Answers better")}).run()

    world.delete().settle_down(4)

    assert world.obj is None
    assert live(world) == []


def test_an_id_that_names_anothers_deployment_by_now_is_lost_and_never_deleted():
    world = a_deployment()
    world.run()
    id_ = world.status["deploymentID"]
    world.records[id_] = replace(world.records[id_], token="another/owner/0123456789ab/1")

    world.delete().settle_down(4)

    assert world.obj is None
    assert world.made(calls.Remove) == 0
