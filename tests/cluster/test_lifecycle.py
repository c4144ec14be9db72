"""From YAML to Ready, and what a change of the wish does: every life of a build and of a production deployment."""

from __future__ import annotations

import signal
import time
from itertools import pairwise
from typing import Any

from agentex_testkit.api_server import Object, condition, eventually, handled, ready, says, stalled
from agentex_testkit.builders import (
    DOCKERFILE,
    FAILING,
    STUCK,
    a_build,
    a_context,
    a_deployment,
    a_manifest,
    an_image,
    from_build,
)
from agentex_testkit.cluster_fixture import ClusterFixture

RESYNCS = 2
RESYNC = 5.0
OTHER = f"{DOCKERFILE}RUN other\n"


def building(obj: Object | None) -> bool:
    """Whether a remote build of it runs, and that is on record."""
    status = (obj or {}).get("status") or {}
    return says("Ready", "Unknown")(obj) and "buildID" in status and status.get("remoteStatus") == "running"


def test_a_build_and_its_deployment_become_ready_and_nothing_else_is_there(world: ClusterFixture) -> None:
    world.apply(a_context(), a_build(), from_build())

    world.wait("AgentBuild", "quote")
    world.wait("AgentDeployment", "quote")

    with world.sdk() as sdk:
        builds, deployments = list(sdk.build.list()), list(sdk.deploy.list())
    assert [one.id for one in builds] == [world.status("AgentBuild", "quote")["buildID"]]
    assert [one.id for one in deployments] == [world.status("AgentDeployment", "quote")["deploymentID"]]
    assert (builds[0].build_status, deployments[0].status) == ("success", "HEALTHY")
    assert deployments[0].build_id == builds[0].id


def test_an_order_in_which_nothing_is_there_yet_ends_the_same(shared: ClusterFixture) -> None:
    shared.apply(from_build("late"))
    shared.wait("AgentDeployment", "late", says("BuildReady", "False", "BuildNotFound"))
    shared.apply(a_build("late"))
    shared.wait("AgentBuild", "late", says("SourceReady", "False", "ConfigMapNotFound"))
    shared.apply(a_context("late"))

    assert shared.wait("AgentBuild", "late")
    assert shared.wait("AgentDeployment", "late")


def test_while_nothing_changes_nothing_is_written(world: ClusterFixture) -> None:
    world.apply(a_context(), a_build(), from_build(), a_context("bad", FAILING), a_build("bad"))
    world.wait("AgentDeployment", "quote")
    world.wait("AgentBuild", "bad", stalled("BuildFailed"))
    world.wait("AgentexAccount", "default", lambda it: it is not None and it["status"]["deployments"]["healthy"] == 1)
    before, seen = versions(world), len(world.simulator.ledger())

    looks = len(world.simulator.calls())
    eventually_slept(RESYNCS * RESYNC)

    assert versions(world) == before
    assert len(world.simulator.ledger()) == seen
    assert len(world.simulator.calls()) > looks, "it did look in the meantime"


def versions(world: ClusterFixture) -> dict[str, Any]:
    kinds = ("AgentexAccount", "AgentBuild", "AgentDeployment", "Event")
    found = (one["metadata"] for kind in kinds for one in world.api.list(kind, world.namespace))
    return {one["uid"]: one["resourceVersion"] for one in found}


def eventually_slept(seconds: float) -> None:
    """Nothing can be waited for where nothing is to happen."""
    time.sleep(seconds)


def test_an_edit_of_the_configmap_builds_and_deploys_again(shared: ClusterFixture) -> None:
    shared.apply(a_context("edited"), a_build("edited"), from_build("edited"))
    for kind in ("AgentBuild", "AgentDeployment"):
        shared.explain(kind, "edited", creates=2)
    first = shared.wait("AgentDeployment", "edited")["status"]

    shared.apply(a_context("edited", OTHER))

    moved = "deploymentID"
    second = shared.wait("AgentDeployment", "edited", lambda it: ready(it) and it["status"][moved] != first[moved])
    assert second["status"]["buildID"] != first["buildID"]
    assert second["status"]["buildID"] == shared.status("AgentBuild", "edited")["buildID"]
    assert [one["status"] for one in shared.remotes("AgentDeployment", "edited")] == ["superseded", "healthy"]


def test_an_edit_of_the_spec_while_it_builds_cancels_first(shared: ClusterFixture) -> None:
    shared.apply(a_context("moved", STUCK), a_build("moved"))
    shared.explain("AgentBuild", "moved", creates=2)
    first = shared.wait("AgentBuild", "moved", building)["status"]["buildID"]

    shared.apply(a_context("moved"))

    second = shared.wait("AgentBuild", "moved")["status"]["buildID"]
    verbs = [(one["verb"], one["id"]) for one in shared.simulator.ledger()
             if one["cause"] == "api" and one["id"] in (first, second)]
    assert verbs == [("create", first), ("cancel", first), ("create", second)]


def test_cancel_true_ends_a_running_build_and_false_builds_again(shared: ClusterFixture) -> None:
    shared.apply(a_context("stopped", STUCK), a_build("stopped"))
    shared.explain("AgentBuild", "stopped", creates=2)
    shared.wait("AgentBuild", "stopped", building)

    shared.apply(a_build("stopped", cancel=True))
    shared.wait("AgentBuild", "stopped", stalled("Cancelled"))
    assert shared.living("AgentBuild", "stopped") == []

    shared.apply(a_build("stopped", cancel=False))
    shared.wait("AgentBuild", "stopped", building)
    assert [one["status"] for one in shared.remotes("AgentBuild", "stopped")] == ["cancelled", "running"]


def test_a_build_beyond_its_timeout_is_cancelled_and_tried_again_as_often_as_allowed(shared: ClusterFixture) -> None:
    shared.apply(a_context("slow", STUCK), a_build("slow", timeout="2s", retries=1))
    shared.explain("AgentBuild", "slow", creates=2)

    shared.wait("AgentBuild", "slow", stalled("BuildTimedOut"))

    assert shared.living("AgentBuild", "slow") == []
    assert shared.creates("AgentBuild", "slow") == 2


def test_a_suspended_build_starts_nothing_until_it_is_resumed(shared: ClusterFixture) -> None:
    shared.apply(a_context("paused"), a_build("paused", suspend=True))
    shared.wait("AgentBuild", "paused", says("Suspended", "True"))
    assert ready(shared.get("AgentBuild", "paused"))
    assert shared.creates("AgentBuild", "paused") == 0

    shared.apply(a_build("paused", suspend=False))
    resumed = shared.wait("AgentBuild", "paused", lambda it: ready(it) and "buildID" in it["status"])
    assert condition(resumed, "Suspended") == {}


def test_a_suspended_deployment_keeps_what_runs_whatever_is_wished(shared: ClusterFixture) -> None:
    shared.apply(an_image("held"), a_deployment("held"))
    before = shared.wait("AgentDeployment", "held")["status"]["deploymentID"]
    other = {"inline": a_manifest("held", "answers better")}

    shared.apply(a_deployment("held", suspend=True, manifest=other))
    shared.wait("AgentDeployment", "held", says("Suspended", "True"))
    assert shared.status("AgentDeployment", "held")["deploymentID"] == before
    assert shared.creates("AgentDeployment", "held") == 1

    shared.explain("AgentDeployment", "held", creates=2)
    shared.apply(a_deployment("held", manifest=other))
    resumed = shared.wait("AgentDeployment", "held", lambda it: ready(it) and it["status"]["deploymentID"] != before)
    assert condition(resumed, "Suspended") == {}


def test_a_failed_build_shows_the_line_that_says_why(shared: ClusterFixture) -> None:
    shared.apply(a_context("broken", FAILING), a_build("broken"), from_build("broken"))

    line = "The command '/bin/sh -c exit 3' returned a non-zero code: 3"
    failed = shared.wait("AgentBuild", "broken", stalled("BuildFailed"))
    assert line in condition(failed, "Ready")["message"]
    assert line in failed["status"]["logTail"]

    shared.wait("AgentDeployment", "broken", lambda it: line in condition(it, "BuildReady").get("message", ""))
    assert shared.creates("AgentDeployment", "broken") == 0


def test_the_same_inputs_are_built_again_on_request_only(shared: ClusterFixture) -> None:
    shared.apply(a_context("again"), a_build("again"))
    shared.explain("AgentBuild", "again", creates=2)
    first = shared.wait("AgentBuild", "again")["status"]["buildID"]

    shared.annotate("AgentBuild", "again", rebuild_requested_at="now")

    shared.wait("AgentBuild", "again", lambda it: ready(it) and it["status"]["buildID"] != first)
    assert shared.status("AgentBuild", "again")["lastHandledRebuildRequestedAt"] == "now"


def test_a_failed_rollout_shows_the_event_that_says_why_and_the_next_change_is_deployed(shared: ClusterFixture) -> None:
    unhealthy = {"inline": a_manifest("sick", "simulate: unhealthy")}
    shared.apply(an_image("sick"), a_deployment("sick", manifest=unhealthy))
    shared.explain("AgentDeployment", "sick", creates=2)

    failed = shared.wait("AgentDeployment", "sick", stalled("DeploymentFailed"))
    assert failed["status"]["events"][-1]["message"] in condition(failed, "Ready")["message"]

    shared.apply(a_deployment("sick"))
    assert shared.wait("AgentDeployment", "sick")


def test_a_rollout_beyond_its_deadline_is_said_and_followed_further(shared: ClusterFixture) -> None:
    stuck = {"inline": a_manifest("endless", "simulate: stuck")}
    shared.apply(an_image("endless"), a_deployment("endless", manifest=stuck, progressDeadline="2s"))

    said = shared.wait("AgentDeployment", "endless", stalled("ProgressDeadlineExceeded"))
    shared.simulator.actor("finish-deployment", id=said["status"]["deploymentID"])

    assert shared.wait("AgentDeployment", "endless")


def test_what_somebody_else_superseded_is_reported_and_left_alone(shared: ClusterFixture) -> None:
    shared.apply(an_image("rivalled"), a_deployment("rivalled"))
    ours = shared.wait("AgentDeployment", "rivalled")["status"]["deploymentID"]

    theirs = shared.simulator.actor("supersede", id=ours)

    said = shared.wait("AgentDeployment", "rivalled", stalled("SupersededExternally"))
    assert condition(said, "Available")["status"] == "False"
    assert theirs["id"] not in str(shared.remotes("AgentDeployment", "rivalled"))


def test_what_somebody_else_deleted_is_deployed_again_where_the_spec_says_so(shared: ClusterFixture) -> None:
    shared.apply(an_image("corrected"), a_deployment("corrected", onExternalChange="Correct"))
    shared.explain("AgentDeployment", "corrected", creates=2)
    ours = shared.wait("AgentDeployment", "corrected")["status"]["deploymentID"]

    shared.simulator.actor("delete-deployment", id=ours)

    shared.wait("AgentDeployment", "corrected", lambda it: ready(it) and it["status"]["deploymentID"] != ours)


def test_two_builds_of_one_new_agent_both_succeed(shared: ClusterFixture) -> None:
    same = {"agentName": "twins", "source": {"configMapKeyRef": {"name": "twins", "key": "context.tar.gz"}}}
    shared.apply(a_context("twins"), a_build("one-twin", **same), a_build("other-twin", **same))

    agents = {shared.wait("AgentBuild", name)["status"]["agentID"] for name in ("one-twin", "other-twin")}
    assert len(agents) == 1


def test_events_tell_of_transitions_only(shared: ClusterFixture) -> None:
    shared.apply(a_context("told"), a_build("told"))
    shared.wait("AgentBuild", "told")
    told = eventually(lambda: shared.events("AgentBuild", "told"), lambda seen: reasons(seen)[-1:] == ["Succeeded"])

    for number in range(3):
        shared.annotate("AgentBuild", "told", reconcile_requested_at=str(number))
        shared.wait("AgentBuild", "told", handled(str(number)))

    assert shared.events("AgentBuild", "told") == told, "a look that finds nothing new announces nothing"
    assert all(before != after for before, after in pairwise(reasons(told)))
    assert all(one["reportingController"] and one["regarding"]["uid"] for one in told)


def reasons(events: list[Object]) -> list[str]:
    return [one["reason"] for one in events]


def test_what_a_user_wrote_stays_as_it_was_written(shared: ClusterFixture) -> None:
    mine = {"example.com/mine": "yes", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    build = a_build("mine")
    build["metadata"]["annotations"] = mine
    build["metadata"]["labels"] = {"team": "a"}

    shared.apply(a_context("mine"), build)
    built = shared.wait("AgentBuild", "mine")

    assert built["metadata"]["annotations"] == mine
    assert built["metadata"]["labels"] == {"team": "a"}
    assert build["spec"].items() <= built["spec"].items(), "the rest are the schema's defaults"
    assert {one["metadata"]["generation"] for one in shared.versions("AgentBuild", "mine")} == {1}


def test_sigterm_ends_it_within_the_drain_time_with_work_in_flight(world: ClusterFixture) -> None:
    world.apply(a_context("quote", STUCK), a_build())
    world.wait("AgentBuild", "quote", building)

    status = world.operator.stop()

    assert status == 0, f"ended by {signal.Signals(-status).name}" if status and status < 0 else world.operator.log
    assert "Traceback" not in world.operator.log
    world.operator.start()
    world.apply(a_build(cancel=True))
    world.wait("AgentBuild", "quote", stalled("Cancelled"))
