"""Builds through the real SDK (agentex-api.md sections 1.2 to 1.4, 2.1 and 3)."""

import pytest
from scale_gp_beta import (
    BadRequestError,
    ConflictError,
    NotFoundError,
    SGPClient,
    UnprocessableEntityError,
)
from tests.simulator.conftest import Connecting, Starting
from tests.simulator.make import FAILING, STUCK, archive, build, build_status, image, mutations, until

from agentex_simulator import SimulatorThread


def test_an_archive_is_queued_then_runs_then_succeeds(client: SGPClient, simulator: SimulatorThread) -> None:
    created = build(client)

    until(build_status(client, created.id), "success")

    assert created.build_status == "queued"
    assert [e["status"] for e in mutations(simulator, kind="build")] == ["queued", "running", "success"]


def test_a_finished_build_has_times_and_an_address_in_the_registry(client: SGPClient) -> None:
    created = build(client, image_tag="t9")
    until(build_status(client, created.id), "success")

    done = client.build.retrieve(created.id)

    assert created.image_url is None
    assert done.image_url == "registry.agentex.invalid/acct-1/bot:t9"
    assert done.build_start_time is not None
    assert done.build_end_time is not None
    assert done.build_start_time <= done.build_end_time


def test_everything_the_client_says_of_its_source_is_echoed(client: SGPClient) -> None:
    said = {
        "source_commit": "c0ffee",
        "source_dirty": True,
        "source_ref": "main",
        "source_repo": "h/o/r",
        "source_subpath": "agents/bot",
        "working_tree_hash": "a" * 64,
    }

    echoed = build(client, **said, build_args='{"A": "1"}', platform="linux/amd64").to_dict()

    assert said.items() <= echoed.items()
    assert not {"build_args", "platform", "context_archive"} & echoed.keys()


def test_a_tag_not_sent_is_latest(client: SGPClient) -> None:
    created = client.build.create(image_name="bot", agent_name="bot", context_archive=archive())

    assert created.image_tag == "latest"


def test_a_registered_image_is_successful_at_once_under_a_new_address(client: SGPClient) -> None:
    created = image(client, image_url="elsewhere.invalid/x:7")

    assert created.build_status == "success"
    assert created.image_url == "registry.agentex.invalid/acct-1/bot:t1"


@pytest.mark.parametrize(
    ("wish", "error"),
    [
        pytest.param({"agent_id": "x", "agent_name": "bot"}, BadRequestError, id="two agents"),
        pytest.param({"agent_name": ""}, BadRequestError, id="no agent"),
        pytest.param({"image_url": "r/x:1", "context_archive": archive()}, BadRequestError, id="two sources"),
        pytest.param({"context_archive": b""}, BadRequestError, id="an empty archive"),
        pytest.param({"image_url": "r:5000/x"}, BadRequestError, id="an image without a tag"),
        pytest.param({"image_url": "r/x:1", "platform": "linux/amd64"}, BadRequestError, id="a platform for an image"),
        pytest.param({"image_url": "r/x:1", "build_args": "{}"}, BadRequestError, id="arguments for an image"),
        pytest.param({"image_name": ""}, UnprocessableEntityError, id="no image name"),
        pytest.param({"build_args": "["}, UnprocessableEntityError, id="arguments that are not JSON"),
        pytest.param({"build_args": "[]"}, UnprocessableEntityError, id="arguments that are not an object"),
        pytest.param({"platform": "windows/amd64"}, UnprocessableEntityError, id="an unknown platform"),
        pytest.param({"working_tree_hash": "a" * 65}, UnprocessableEntityError, id="a hash that is too long"),
        pytest.param({"agent_name": "Bot_1"}, UnprocessableEntityError, id="an agent name out of pattern"),
        pytest.param({"agent_id": "nobody"}, NotFoundError, id="an agent that does not exist"),
    ],
)
def test_a_bad_order_is_refused_and_nothing_is_committed(
    client: SGPClient, simulator: SimulatorThread, wish: dict, error: type[Exception]
) -> None:
    with pytest.raises(error):
        build(client, **wish)

    assert simulator.ledger() == []


def test_no_source_at_all_is_refused(client: SGPClient) -> None:
    with pytest.raises(BadRequestError, match="exactly one of context_archive and image_url"):
        client.build.create(image_name="bot", agent_name="bot")


def test_a_name_creates_an_agent_and_its_id_targets_it(client: SGPClient) -> None:
    first = build(client)
    second = build(client, agent_id=first.agent_id)

    assert (second.agent_id, second.agent_name) == (first.agent_id, "bot")


def test_a_name_in_use_is_refused_even_after_a_failed_build(client: SGPClient, simulator: SimulatorThread) -> None:
    until(build_status(client, build(client, context_archive=archive(FAILING)).id), "failed")

    with pytest.raises(ConflictError):
        build(client)

    assert len(mutations(simulator, kind="build", verb="create")) == 1


def test_the_answer_to_a_used_name_can_be_chosen(start: Starting, connect: Connecting) -> None:
    client = connect(start(name_taken_status=422))
    build(client)

    with pytest.raises(UnprocessableEntityError):
        build(client)


def test_the_name_of_a_deleted_agent_stays_taken(client: SGPClient, simulator: SimulatorThread) -> None:
    first = build(client)
    simulator.actor("delete-agent", account="acct-1", name="bot")

    with pytest.raises(ConflictError):
        build(client)
    with pytest.raises(NotFoundError):
        build(client, agent_id=first.agent_id)


def test_a_cancel_answers_with_the_record_as_it_was_and_takes_effect_later(client: SGPClient) -> None:
    running = build(client, context_archive=archive(STUCK))
    until(build_status(client, running.id), "running")

    answer = client.build.with_raw_response.cancel(running.id)

    assert (answer.status_code, answer.parse().build_status) == (202, "running")
    until(build_status(client, running.id), "cancelled")


def test_a_cancelled_build_was_cancelling_first(client: SGPClient, simulator: SimulatorThread) -> None:
    created = build(client, context_archive=archive(STUCK))
    client.build.cancel(created.id)
    until(build_status(client, created.id), "cancelled")

    assert [e["status"] for e in mutations(simulator, kind="build")][-2:] == ["cancelling", "cancelled"]


def test_a_cancel_may_lose_the_race(start: Starting, connect: Connecting) -> None:
    simulator = start(time_scale=5)
    client = connect(simulator)
    running = build(client)
    client.build.cancel(running.id)
    until(build_status(client, running.id), "cancelling")

    simulator.actor("finish-build", id=running.id)

    assert client.build.retrieve(running.id).build_status == "success"


def test_cancelling_a_finished_build_is_accepted_without_effect(client: SGPClient, simulator: SimulatorThread) -> None:
    finished = image(client)
    before = simulator.ledger()

    answer = client.build.cancel(finished.id)

    assert answer.build_status == "success"
    assert simulator.ledger() == before


def test_an_unknown_build_is_not_found(client: SGPClient) -> None:
    for ask in (client.build.retrieve, client.build.cancel, client.build.logs):
        with pytest.raises(NotFoundError):
            ask("nothing")


def test_undeployed_lists_agents_that_never_were_healthy(client: SGPClient, simulator: SimulatorThread) -> None:
    first = image(client)
    image(client, agent_name="done")
    latest = image(client, agent_id=first.agent_id)
    deployed = client.deploy.create(
        build_id=client.build.list(agent_name="done").items[0].id,
        manifest_file="build: {}\nagent: {name: done}",
        environment_config="schema_version: v1\nenvironments: {dev: {}}",
    )
    simulator.actor("finish-deployment", id=deployed.id)

    found = client.build.list_undeployed()

    assert [(one.agent_name, one.latest_build.id, one.total_builds) for one in found] == [("bot", latest.id, 2)]


@pytest.mark.parametrize("status", ["timed_out", "error", "failed", "unknown"])
def test_a_dockerfile_can_choose_how_its_build_ends(client: SGPClient, status: str) -> None:
    created = build(client, context_archive=archive(f"FROM x\n# simulate: status={status}\n"))

    until(build_status(client, created.id), status)


def test_a_dockerfile_can_choose_to_take_longer(start: Starting, connect: Connecting) -> None:
    client = connect(start())
    slow = build(client, context_archive=archive("FROM x\n# simulate: sleep=600s\n"))
    quick = build(client, agent_name="quick")

    until(build_status(client, quick.id), "success")

    assert client.build.retrieve(slow.id).build_status == "running"
    until(build_status(client, slow.id), "success")


def test_the_same_seed_gives_the_same_ids(start: Starting, connect: Connecting) -> None:
    one, same, other = (build(connect(start(seed=seed))).id for seed in (1, 1, 2))

    assert one == same != other
