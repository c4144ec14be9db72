"""Faults around the commit: what was lost, what was done twice, what came late (reliability.md section 2d)."""

import time

import httpx
import pytest
from scale_gp_beta import APIConnectionError, APIStatusError, InternalServerError, SGPClient
from tests.simulator.conftest import Connecting
from tests.simulator.make import (
    STUCK,
    archive,
    build,
    build_status,
    deploy,
    deployment_status,
    healthy,
    image,
    mutations,
    until,
)

from agentex_simulator import SimulatorThread

CREATE = {"method": "POST", "path": "/v5/builds"}
DEPLOY = {"method": "POST", "path": "/v5/agentex/deployments"}


def builds_made(simulator: SimulatorThread) -> int:
    return len(mutations(simulator, kind="build", verb="create"))


@pytest.mark.parametrize("how", ["rst", "fin"])
def test_a_build_can_be_committed_and_its_answer_lost(client: SGPClient, simulator: SimulatorThread, how: str) -> None:
    simulator.fault("commit-then-drop-response", match=CREATE, how=how)

    with pytest.raises(APIConnectionError):
        build(client, image_tag="t7")

    assert [b.image_tag for b in client.build.list(agent_name="bot")] == ["t7"]
    assert simulator.calls()[0]["dropped"] is True


def test_a_deployment_can_be_committed_and_its_answer_lost(client: SGPClient, simulator: SimulatorThread) -> None:
    built = image(client)
    simulator.fault("commit-then-drop-response", match=DEPLOY)

    with pytest.raises(APIConnectionError):
        deploy(client, built.id)

    assert len(client.deploy.list(build_id=built.id).items) == 1


def test_a_build_can_be_committed_and_answered_with_an_error(client: SGPClient, simulator: SimulatorThread) -> None:
    simulator.fault("commit-then-500", match=CREATE, status=503, body={"detail": "tired"})

    with pytest.raises(InternalServerError, match="tired"):
        build(client)

    assert builds_made(simulator) == 1


@pytest.mark.parametrize("when", [{}, {"after_body": True}, {"half": True}], ids=["before", "after", "in it"])
def test_a_connection_can_be_cut_before_the_commit(client: SGPClient, simulator: SimulatorThread, when: dict) -> None:
    simulator.fault("drop-before-commit", match=CREATE, **when)

    with pytest.raises(APIConnectionError):
        build(client)

    assert simulator.ledger() == []
    assert builds_made(simulator) == 0
    assert build(client).build_status == "queued"


def test_a_commit_can_come_after_the_connection_was_cut(client: SGPClient, simulator: SimulatorThread) -> None:
    simulator.fault("delayed-commit", match=CREATE, delay=0.2)

    with pytest.raises(APIConnectionError):
        build(client)
    assert client.build.list().items == []

    until(lambda: len(client.build.list().items), 1)


def test_a_commit_can_come_after_the_client_gave_up(simulator: SimulatorThread, connect: Connecting) -> None:
    simulator.fault("delayed-commit", match=CREATE, delay=0.4, drop="client")
    impatient = connect(simulator, timeout=0.1)

    with pytest.raises(APIConnectionError):
        build(impatient)
    assert simulator.ledger() == []

    until(lambda: builds_made(simulator), 1)


def test_the_sdks_own_retry_makes_a_lost_success_a_name_in_use(simulator: SimulatorThread, connect: Connecting) -> None:
    simulator.fault("commit-then-drop-response", match=CREATE)

    with pytest.raises(APIStatusError, match="already in use"):
        build(connect(simulator, max_retries=1))

    assert builds_made(simulator) == 1
    assert [call["retry"] for call in simulator.calls()] == ["0", "1"]


def test_a_late_commit_can_be_refused_like_any_other(client: SGPClient, simulator: SimulatorThread) -> None:
    simulator.fault("delayed-commit", match=CREATE, delay=0.2)
    with pytest.raises(APIConnectionError):
        image(client)

    won = image(client)
    time.sleep(0.3)

    assert [entry["id"] for entry in mutations(simulator, kind="build", verb="create")] == [won.id]


def test_a_failed_teardown_leaves_the_record_as_it_was(client: SGPClient, simulator: SimulatorThread) -> None:
    live = healthy(client, simulator, image(client).id)
    simulator.fault("teardown-failure", count=2)

    for _ in range(2):
        with pytest.raises(InternalServerError):
            client.deploy.delete(live.id)
    assert client.deploy.retrieve(live.id).status == "HEALTHY"

    assert client.deploy.delete(live.id).status == "DELETED"


def test_a_cancel_can_be_accepted_and_never_done(client: SGPClient, simulator: SimulatorThread) -> None:
    stuck = build(client, context_archive=archive(STUCK))
    until(build_status(client, stuck.id), "running")
    simulator.fault("cancel-ignored")

    assert client.build.cancel(stuck.id).id == stuck.id
    time.sleep(0.05)
    assert client.build.retrieve(stuck.id).build_status == "running"

    client.build.cancel(stuck.id)
    until(build_status(client, stuck.id), "cancelled")


def test_a_client_that_dies_in_the_middle_of_an_upload_commits_nothing(simulator: SimulatorThread) -> None:
    def half_an_upload():
        yield b'--b\r\nContent-Disposition: form-data; name="context_archive"; filename="a"\r\n\r\nbytes'
        raise RuntimeError("killed")

    headers = {"x-api-key": "key-1", "Content-Type": "multipart/form-data; boundary=b", "Content-Length": "100000"}
    with pytest.raises(RuntimeError, match="killed"):
        httpx.post(f"{simulator.url}/v5/builds", headers=headers, content=half_an_upload())

    until(lambda: simulator.calls()[0]["dropped"], True)
    assert simulator.ledger() == []


def test_a_dropped_delete_may_have_been_done(client: SGPClient, simulator: SimulatorThread) -> None:
    live = healthy(client, simulator, image(client).id)
    simulator.fault("commit-then-drop-response", match={"method": "DELETE"})

    with pytest.raises(APIConnectionError):
        client.deploy.delete(live.id)

    until(deployment_status(client, live.id), "DELETED")
