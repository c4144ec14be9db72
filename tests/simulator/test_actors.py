"""Other people acting on the same account (agentex-api.md section 10)."""

import pytest
from scale_gp_beta import APIResponseValidationError, ConflictError, NotFoundError, SGPClient
from tests.simulator.make import (
    STUCK,
    archive,
    build,
    build_status,
    deploy,
    deployment_status,
    healthy,
    ids,
    image,
    manifest,
    mutations,
    until,
)

from agentex_simulator import SimulatorError, SimulatorThread


@pytest.fixture
def live(client: SGPClient, simulator: SimulatorThread) -> str:
    """The id of a healthy production deployment of ours."""
    return str(healthy(client, simulator, image(client).id, manifest_file=manifest(token="ours")).id)


def test_somebody_else_supersedes_our_deployment(client: SGPClient, simulator: SimulatorThread, live: str) -> None:
    theirs = simulator.actor("supersede", id=live)

    seen = client.deploy.retrieve(theirs["id"])
    assert client.deploy.retrieve(live).status == "SUPERSEDED"
    assert (seen.status, seen.created_by.id) == ("HEALTHY", "user-somebody-else")
    assert "ours" not in seen.manifest_file


def test_somebody_elses_deployment_may_still_be_rolling_out(
    client: SGPClient, simulator: SimulatorThread, live: str
) -> None:
    theirs = simulator.actor("supersede", id=live, now=False)

    assert theirs["status"] == "pending"
    until(deployment_status(client, live), "SUPERSEDED")


def test_somebody_deletes_our_deployment(client: SGPClient, simulator: SimulatorThread, live: str) -> None:
    simulator.actor("delete-deployment", id=live)

    assert client.deploy.retrieve(live).status == "DELETED"
    assert mutations(simulator, verb="delete")[0]["cause"] == "actor"


def test_a_healthy_deployment_can_fail_later(client: SGPClient, simulator: SimulatorThread, live: str) -> None:
    simulator.actor("fail-deployment", id=live)

    assert client.deploy.retrieve(live).status == "FAILED"


def test_a_deployment_can_leave_the_lists(client: SGPClient, simulator: SimulatorThread, live: str) -> None:
    simulator.actor("archive-deployment", id=live)

    assert ids(client.deploy.list()) == []
    assert client.deploy.retrieve(live).id == live


def test_a_preview_can_expire_now_or_wait_for_the_sweep(client: SGPClient, simulator: SimulatorThread) -> None:
    built = image(client)
    one, other = (deploy(client, built.id, preview=True) for _ in range(2))

    simulator.actor("expire-preview", id=one.id)
    assert client.deploy.retrieve(one.id).status == "DELETED"

    simulator.actor("expire-preview", id=other.id, sweep=False)
    until(deployment_status(client, other.id), "DELETED")


def test_a_production_deployment_cannot_expire(simulator: SimulatorThread, live: str) -> None:
    before = len(simulator.ledger())

    with pytest.raises(SimulatorError, match="not a preview"):
        simulator.actor("expire-preview", id=live)

    assert len(simulator.ledger()) == before


@pytest.mark.parametrize("deleted", [False, True])
def test_a_name_can_be_taken_without_a_trace_in_lists(
    client: SGPClient, simulator: SimulatorThread, deleted: bool
) -> None:
    simulator.actor("take-name", account="acct-1", name="bot", deleted=deleted)

    with pytest.raises(ConflictError):
        build(client)
    assert client.build.list(agent_name="bot").items == []


def test_a_name_can_be_taken_by_somebodys_build(client: SGPClient, simulator: SimulatorThread) -> None:
    theirs = simulator.actor("take-name", account="acct-1", name="bot", build=True)

    seen = client.build.list(agent_name="bot").items[0]
    assert (seen.id, seen.created_by.type) == (theirs["id"], "user")
    assert build(client, agent_id=seen.agent_id).agent_name == "bot"


def test_a_build_can_vanish(client: SGPClient, simulator: SimulatorThread) -> None:
    built = build(client)
    simulator.actor("delete-build", id=built.id)

    with pytest.raises(NotFoundError):
        client.build.retrieve(built.id)
    assert ids(client.build.list()) == []


@pytest.mark.parametrize("status", ["deleting", "delete_failed"])
def test_a_build_can_be_on_its_way_out(client: SGPClient, simulator: SimulatorThread, status: str) -> None:
    built = image(client)
    simulator.actor("delete-build", id=built.id, status=status)

    assert client.build.retrieve(built.id).build_status == status


def test_the_provider_can_end_a_build_now_and_say_why(client: SGPClient, simulator: SimulatorThread) -> None:
    stuck = build(client, context_archive=archive(STUCK))
    until(build_status(client, stuck.id), "running")

    simulator.actor("finish-build", id=stuck.id, status="failed", reason="out of disk")

    assert client.build.retrieve(stuck.id).build_status == "failed"
    assert [chunk.line for chunk in client.build.logs(stuck.id)][-1] == "out of disk"


def test_a_finished_build_does_not_end_again(client: SGPClient, simulator: SimulatorThread) -> None:
    built = image(client)
    simulator.actor("finish-build", id=built.id, status="failed")

    assert client.build.retrieve(built.id).build_status == "success"


def test_a_record_can_show_any_status_and_the_true_one_again(
    client: SGPClient, simulator: SimulatorThread, live: str
) -> None:
    built = client.build.list().items[0].id
    simulator.actor("set-status", id=live, status="Levitating")
    simulator.actor("set-status", id=built, status="levitating")

    assert client.deploy.retrieve(live).status == "Levitating"
    with pytest.raises(APIResponseValidationError):
        client.build.retrieve(built)

    simulator.actor("set-status", id=live)
    assert client.deploy.retrieve(live).status == "HEALTHY"


@pytest.mark.parametrize(
    ("actor", "body", "said"),
    [
        ("nobody", {}, "400: .*unknown actor"),
        ("delete-build", {}, "400: .*needs 'id'"),
        ("finish-build", {"id": "nothing"}, "404"),
        ("supersede", {"id": "nothing"}, "404"),
        ("take-name", {"account": "acct-1"}, "400: .*needs 'name'"),
    ],
)
def test_an_actor_that_cannot_act_says_why(simulator: SimulatorThread, actor: str, body: dict, said: str) -> None:
    with pytest.raises(SimulatorError, match=said):
        simulator.actor(actor, **body)

    assert simulator.ledger() == []


def test_an_id_of_ours_can_become_somebody_elses(client: SGPClient, simulator: SimulatorThread, live: str) -> None:
    built = build(client, agent_name="mine", image_tag="0123456789ab-ffffffff1")

    for id_ in (built.id, live):
        simulator.actor("give-away", id=id_)

    assert client.build.retrieve(built.id).image_tag == "0123456789ab-0a0b0c0d1"
    assert client.deploy.retrieve(live).manifest_file.startswith("# agentex.scale.com/owner: another-cluster/")
