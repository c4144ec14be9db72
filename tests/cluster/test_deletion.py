"""Deletion: nothing of ours stays alive remotely, whatever was down, away or gone meanwhile; and it always ends."""

from __future__ import annotations

import json
import shlex

from tests.cluster.test_lifecycle import building

from agentex_testkit import kstatus
from agentex_testkit.api_server import condition, eventually, gone, says
from agentex_testkit.builders import STUCK, a_build, a_context, a_deployment, a_preview, a_secret, an_account, an_image
from agentex_testkit.cluster_fixture import ClusterFixture
from agentex_testkit.installation import Installation

KINDS = ("AgentBuild", "AgentDeployment")


def at_work(world: ClusterFixture, name: str) -> None:
    """A build that never ends; and a deployment that is healthy, of the agent `<name>-run`."""
    world.apply(a_context(name, STUCK), a_build(name), an_image(f"{name}-run"))
    world.apply({**a_deployment(f"{name}-run"), "metadata": {"name": name}})
    world.wait("AgentBuild", name, building)
    world.wait("AgentDeployment", name)


def deleted(world: ClusterFixture, name: str) -> None:
    for kind in KINDS:
        world.delete(kind, name)


def torn_down(world: ClusterFixture, name: str) -> None:
    """Both are gone, and nothing remote of them lives."""
    for kind in KINDS:
        world.wait(kind, name, gone)
        assert world.living(kind, name) == []


def test_what_is_deleted_is_torn_down_and_goes(shared: ClusterFixture) -> None:
    at_work(shared, "plain")

    deleted(shared, "plain")

    torn_down(shared, "plain")


def test_a_finished_build_goes_without_a_call(shared: ClusterFixture) -> None:
    shared.apply(an_image("finished"))
    shared.wait("AgentBuild", "finished")

    shared.remove("AgentBuild", "finished")

    assert [one["status"] for one in shared.remotes("AgentBuild", "finished")] == ["success"]


def test_what_is_orphaned_lives_on(shared: ClusterFixture) -> None:
    shared.apply(a_context("kept", STUCK), a_build("kept", deletionPolicy="Orphan"), an_image("kept-run"))
    shared.apply({**a_deployment("kept-run", deletionPolicy="Orphan"), "metadata": {"name": "kept"}})
    shared.wait("AgentBuild", "kept", building)
    shared.wait("AgentDeployment", "kept")
    for kind in KINDS:
        shared.leaves_behind(kind, "kept")

    for kind in KINDS:
        shared.remove(kind, "kept")

    assert [one["status"] for kind in KINDS for one in shared.living(kind, "kept")] == ["running", "healthy"]


def test_what_is_suspended_is_torn_down_too(shared: ClusterFixture) -> None:
    at_work(shared, "halted")
    for kind in KINDS:
        shared.patch(kind, "halted", spec={"suspend": True})
        shared.wait(kind, "halted", says("Suspended", "True"))

    deleted(shared, "halted")

    torn_down(shared, "halted")


def test_what_never_reached_the_remote_goes_at_once(shared: ClusterFixture) -> None:
    shared.apply(a_build("idle"), a_preview("idle"))
    shared.wait("AgentBuild", "idle", says("SourceReady", "False"))
    shared.wait("AgentDeployment", "idle", says("BuildReady", "False"))

    for kind in KINDS:
        shared.remove(kind, "idle")
        assert shared.creates(kind, "idle") == 0


def test_deleted_while_the_operator_was_down_it_is_torn_down_at_the_next_start(world: ClusterFixture) -> None:
    at_work(world, "quote")
    world.operator.kill()
    deleted(world, "quote")
    assert all(len(world.living(kind, "quote")) == 1 for kind in KINDS)

    world.operator.start()

    torn_down(world, "quote")


def test_deleted_while_the_api_is_away_it_waits_says_so_and_ends_when_the_api_returns(world: ClusterFixture) -> None:
    at_work(world, "quote")
    world.simulator.fault("outage", forever=True)

    deleted(world, "quote")
    for kind in KINDS:
        waiting = world.wait(kind, "quote", says("Ready", "False", "RemoteUnavailable"))
        assert waiting["status"]["phase"] == "Retrying"
    world.simulator.clear_faults()

    torn_down(world, "quote")


def test_deleted_while_its_account_is_gone_it_waits_says_so_and_ends_when_the_account_returns(
    world: ClusterFixture,
) -> None:
    at_work(world, "quote")
    world.operator.kill()
    world.take_away("AgentexAccount", "default")
    world.api.delete("Secret", "agentex", world.namespace)
    deleted(world, "quote")

    world.operator.start()
    for kind in KINDS:
        waiting = world.wait(kind, "quote", says("Ready", "False", "AccountNotFound"))
        assert waiting["status"]["phase"] == "Deleting"
        assert "'default'" in condition(waiting, "Ready")["message"]
    world.apply(a_secret(), an_account(world.endpoint))

    torn_down(world, "quote")


def test_account_and_key_deleted_first_do_not_keep_the_rest_from_going(
    installation: Installation, world: ClusterFixture
) -> None:
    at_work(world, "quote")
    world.delete("AgentexAccount", "default")
    world.api.delete("Secret", "agentex", world.namespace)
    held = world.wait("AgentexAccount", "default", says("Ready", "False", "SecretNotFound"))
    assert kstatus.verdict(held) == "Terminating"
    assert "it removes them with the API key in its memory" in condition(held, "Ready")["message"]
    again = json.dumps(an_account(world.endpoint))
    said = installation.cluster.kubectl("create", f"--namespace={world.namespace}", "-f", "-", input=again, check=False)
    assert "object is being deleted" in said

    world.delete_all()

    torn_down(world, "quote")
    world.wait("AgentexAccount", "default", gone)


def test_an_account_pruned_with_its_resources_serves_across_a_restart(world: ClusterFixture) -> None:
    """Scenario 4d of gitops.md: the remote API refuses the removals, and the operator restarts meanwhile."""
    at_work(world, "quote")
    world.simulator.fault("status", match={"method": "DELETE"}, status=500, forever=True)
    world.delete("AgentexAccount", "default")
    world.delete_all()
    world.wait("AgentDeployment", "quote", says("Ready", "False", "RemoteUnavailable"))

    world.operator.kill()
    world.operator.start()
    world.wait("AgentDeployment", "quote", says("Ready", "False", "RemoteUnavailable"))
    held = world.wait("AgentexAccount", "default", says("Ready", "False", "Deleting"))
    assert "AgentDeployment" in condition(held, "Ready")["message"]
    world.simulator.clear_faults()

    torn_down(world, "quote")
    world.wait("AgentexAccount", "default", gone)


def test_a_namespace_with_everything_in_it_ends(world: ClusterFixture) -> None:
    at_work(world, "quote")

    world.api.delete("Namespace", world.namespace)

    eventually(lambda: world.api.get("Namespace", world.namespace), gone)
    assert all(world.living(kind, "quote") == [] for kind in KINDS)


def test_a_namespace_deleted_before_a_restart_says_how_it_ends(
    installation: Installation, world: ClusterFixture
) -> None:
    """The namespace controller removes the Secret at once: a new process has no API key to remove anything with."""
    at_work(world, "quote")
    for kind in KINDS:
        world.leaves_behind(kind, "quote")
    world.operator.kill()
    world.api.delete("Namespace", world.namespace)
    eventually(lambda: world.api.get("Secret", "agentex", world.namespace), gone)

    world.operator.start()
    for kind in KINDS:
        waiting = world.wait(kind, "quote", lambda obj: "cannot be removed" in condition(obj or {}, "Ready")["message"])
        message = condition(waiting, "Ready")["message"]
        assert "there is no Secret 'agentex'" in message
        assert "The namespace is being deleted, so nothing can be created in it." in message
        command = message.partition("end this deletion: ")[2].partition("}}'")[0] + "}}'"
        installation.cluster.kubectl(*shlex.split(command)[1:])

    eventually(lambda: world.api.get("Namespace", world.namespace), gone)
    assert all(len(world.living(kind, "quote")) == 1 for kind in KINDS)


def test_deleted_with_a_create_unanswered_it_waits_for_what_may_still_come(world: ClusterFixture) -> None:
    world.apply(an_image("quote"))
    world.wait("AgentBuild", "quote")
    path = {"method": "POST", "path": "/v5/agentex/deployments"}
    world.simulator.fault("delayed-commit", match=path, delay=4, drop="at-once")
    world.apply(a_preview())
    world.wait("AgentDeployment", "quote", says("Ready", "Unknown", "ConfirmingCreate"))

    world.delete("AgentDeployment", "quote")

    world.wait("AgentDeployment", "quote", gone)
    eventually(lambda: world.creates("AgentDeployment", "quote"), lambda seen: seen == 1)
    assert world.living("AgentDeployment", "quote") == []


def test_a_remote_that_refuses_the_removal_for_a_while_is_asked_again(shared: ClusterFixture) -> None:
    at_work(shared, "stubborn")
    shared.simulator.fault("teardown-failure", count=2)

    deleted(shared, "stubborn")

    torn_down(shared, "stubborn")
