"""Deployments through the real SDK (agentex-api.md sections 1.5, 2.2 and 4)."""

import pytest
from scale_gp_beta import BadRequestError, ConflictError, NotFoundError, SGPClient, UnprocessableEntityError
from tests.simulator.conftest import Connecting, Starting
from tests.simulator.make import (
    ENVIRONMENT,
    STUCK,
    archive,
    build,
    deploy,
    deployment_status,
    healthy,
    image,
    manifest,
    mutations,
    until,
)

from agentex_simulator import SimulatorThread

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
STAYS_PENDING = manifest(description="simulate: stuck")


def test_a_deployment_is_pending_then_in_progress_then_healthy(client: SGPClient, simulator: SimulatorThread) -> None:
    created = deploy(client, image(client).id)

    until(deployment_status(client, created.id), "HEALTHY")

    assert created.status == "PENDING"
    seen = [e["status"] for e in mutations(simulator, kind="deployment")]
    assert seen == ["pending", "in_progress", "healthy"]


def test_the_release_name_shows_once_healthy_and_the_texts_are_echoed(client: SGPClient) -> None:
    text = manifest(token="4711")
    created = deploy(client, image(client).id, manifest_file=text)
    until(deployment_status(client, created.id), "HEALTHY")

    done = client.deploy.retrieve(created.id)

    assert (created.helm_release_name, done.helm_release_name) == (None, "bot")
    assert (done.manifest_file, done.environment_config) == (text, ENVIRONMENT)
    assert (done.namespace, done.expires_at, done.preview_label) == ("team-dev", None, None)


def test_a_rollout_tells_its_events(client: SGPClient) -> None:
    created = deploy(client, image(client).id)
    until(deployment_status(client, created.id), "HEALTHY")

    events = client.deploy.retrieve(created.id).deploy_events

    assert events is not None
    assert [event.reason for event in events] == ["Scheduled", "Pulling", "Pulled", "Started"]


def test_a_manifest_can_choose_to_fail(client: SGPClient) -> None:
    created = deploy(client, image(client).id, manifest_file=manifest(description="simulate: unhealthy"))

    until(deployment_status(client, created.id), "FAILED")

    failed = client.deploy.retrieve(created.id)
    lines = client.deploy.logs(created.id).lines
    assert failed.deploy_events is not None
    assert failed.deploy_events[-1].type == "Warning"
    assert lines is not None
    assert lines[-1].log_level == "ERROR"
    assert failed.helm_release_name is None


def test_an_image_is_found_by_name_and_tag(client: SGPClient) -> None:
    built = image(client)

    created = client.deploy.create(
        image_name="bot", image_tag="t1", manifest_file=manifest(), environment_config=ENVIRONMENT
    )

    assert created.build_id == built.id


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        pytest.param({"build_id": "nothing"}, "does not exist", id="no such build"),
        pytest.param({"manifest_file": "a: ["}, "not valid YAML", id="a manifest that is not YAML"),
        pytest.param({"manifest_file": "text"}, "not a YAML map", id="a manifest that is no map"),
        pytest.param({"manifest_file": "a: 1\n---\nb: 2\n"}, "not valid YAML", id="two documents"),
        pytest.param({"manifest_file": "build: {}"}, "build and agent are required", id="no agent"),
        pytest.param({"manifest_file": "build: {}\nagent: {}"}, "agent.name is required", id="no agent name"),
        pytest.param({"manifest_file": manifest("other")}, "names disagree", id="another agent's manifest"),
        pytest.param({"environment_config": "a: ["}, "not valid YAML", id="an environment that is not YAML"),
        pytest.param({"environment_config": "environments: {a: {}}"}, "schema_version", id="no schema version"),
        pytest.param({"environment_config": "schema_version: v1"}, "environments must be", id="no environments"),
        pytest.param({"manifest_file": "[" * 100_000}, "not valid YAML", id="YAML too deep"),
        pytest.param({"manifest_file": "a: !!python/object:os.x {}"}, "not valid YAML", id="YAML with objects"),
        pytest.param({"environment_config": LAUGHS}, "schema_version", id="a thousand million laughs"),
        pytest.param({"preview_label": "x"}, "only valid when preview", id="a label on production"),
        pytest.param({"expires_at": "2099-01-01T00:00:00Z"}, "only valid when preview", id="an expiry on production"),
    ],
)
def test_a_bad_order_is_refused_and_nothing_is_deployed(
    client: SGPClient, simulator: SimulatorThread, wish: dict, sentence: str
) -> None:
    built = image(client)

    with pytest.raises(BadRequestError, match=sentence):
        deploy(client, **{"build_id": built.id, **wish})

    assert mutations(simulator, kind="deployment") == []


def test_an_environment_may_name_the_agent_but_not_another_one(client: SGPClient) -> None:
    built = image(client)
    config = "schema_version: v1\nenvironments: {dev: {helm_overrides: {agent: {name: %s}}}}"

    assert deploy(client, built.id, environment_config=config % "bot").status == "PENDING"
    with pytest.raises(BadRequestError, match="names disagree"):
        deploy(client, built.id, environment_config=config % "other")


def test_fields_of_the_wrong_shape_are_invalid(client: SGPClient) -> None:
    with pytest.raises(UnprocessableEntityError) as refused:
        client.deploy.create(manifest_file=manifest(), environment_config=ENVIRONMENT, extra_body={"build_id": 7})
    assert isinstance(refused.value.body, dict)
    assert refused.value.body["detail"][0]["loc"] == ["body", "build_id"]

    with pytest.raises(BadRequestError):
        client.deploy.create(manifest_file=manifest(), environment_config=ENVIRONMENT)


def test_only_a_successful_build_can_be_deployed(client: SGPClient) -> None:
    running = build(client, context_archive=archive(STUCK))

    with pytest.raises(BadRequestError, match="only a successful build"):
        deploy(client, running.id)


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_every_secret_of_the_manifest_must_exist(client: SGPClient) -> None:
    built = image(client)
    needy = manifest(credentials="[{env_var_name: R, secret_name: redis-url, secret_key: url}]")

    with pytest.raises(BadRequestError, match="secret redis-url"):
        deploy(client, built.id, manifest_file=needy)
    client.secrets.create(key="redis-url", value="v")

    assert deploy(client, built.id, manifest_file=needy).status == "PENDING"


def test_the_server_can_be_told_which_environment_it_picks(start: Starting, connect: Connecting) -> None:
    client = connect(start(environment="prod"))
    config = "schema_version: v1\nenvironments:\n  a: {kubernetes: {namespace: one}}\n"
    config += "  b: {environment: prod, kubernetes: {namespace: two}}\n"

    assert deploy(client, image(client).id, environment_config=config).namespace == "two"


def test_a_newer_production_deployment_supersedes_the_older_once_healthy(
    client: SGPClient, simulator: SimulatorThread
) -> None:
    built = image(client)
    older = healthy(client, simulator, built.id)
    newer = deploy(client, built.id, manifest_file=STAYS_PENDING)
    assert client.deploy.retrieve(older.id).status == "HEALTHY"

    simulator.actor("finish-deployment", id=newer.id)

    assert client.deploy.retrieve(older.id).status == "SUPERSEDED"
    assert client.deploy.retrieve(newer.id).status == "HEALTHY"


def test_superseding_can_be_switched_to_happen_at_create(start: Starting, connect: Connecting) -> None:
    simulator = start(supersede="at-create")
    client = connect(simulator)
    built = image(client)
    older = healthy(client, simulator, built.id)

    deploy(client, built.id, manifest_file=STAYS_PENDING)

    assert client.deploy.retrieve(older.id).status == "SUPERSEDED"


def test_a_newer_deployment_that_fails_leaves_the_older_alone(client: SGPClient, simulator: SimulatorThread) -> None:
    built = image(client)
    older = healthy(client, simulator, built.id)
    newer = deploy(client, built.id, manifest_file=manifest(description="simulate: unhealthy"))

    until(deployment_status(client, newer.id), "FAILED")

    assert client.deploy.retrieve(older.id).status == "HEALTHY"


def test_a_failed_deployment_is_superseded_too_for_it_shares_the_release(
    client: SGPClient, simulator: SimulatorThread
) -> None:
    built = image(client)
    broken = deploy(client, built.id)
    simulator.actor("fail-deployment", id=broken.id)

    healthy(client, simulator, built.id)

    assert client.deploy.retrieve(broken.id).status == "SUPERSEDED"


@pytest.mark.parametrize("before", ["PENDING", "HEALTHY", "FAILED"])
def test_a_live_deployment_can_be_deleted_and_its_release_goes_later(
    client: SGPClient, simulator: SimulatorThread, before: str
) -> None:
    created = deploy(client, image(client).id, manifest_file=STAYS_PENDING)
    if before != "PENDING":
        simulator.actor("finish-deployment" if before == "HEALTHY" else "fail-deployment", id=created.id)

    assert client.deploy.delete(created.id).status == "DELETED"

    until(lambda: len(mutations(simulator, kind="release", verb="uninstall")), 1)
    assert client.deploy.retrieve(created.id).status == "DELETED"


def test_a_deleted_deployment_never_becomes_healthy(client: SGPClient, simulator: SimulatorThread) -> None:
    created = deploy(client, image(client).id)
    client.deploy.delete(created.id)

    until(lambda: len(mutations(simulator, kind="release")), 1)

    assert "healthy" not in [e["status"] for e in mutations(simulator, kind="deployment")]


def test_what_is_over_cannot_be_deleted(client: SGPClient, simulator: SimulatorThread) -> None:
    built = image(client)
    superseded = healthy(client, simulator, built.id)
    deleted = healthy(client, simulator, built.id)
    client.deploy.delete(deleted.id)

    for over in (superseded, deleted):
        with pytest.raises(BadRequestError, match="already"):
            client.deploy.delete(over.id)


def test_the_answer_to_deleting_what_is_over_can_be_chosen(start: Starting, connect: Connecting) -> None:
    client = connect(start(terminal_delete_status=409))
    created = deploy(client, image(client).id)
    client.deploy.delete(created.id)

    with pytest.raises(ConflictError):
        client.deploy.delete(created.id)


def test_an_unknown_deployment_is_not_found(client: SGPClient) -> None:
    for ask in (client.deploy.retrieve, client.deploy.delete, client.deploy.logs):
        with pytest.raises(NotFoundError):
            ask("nothing")


def test_the_log_is_read_page_by_page(client: SGPClient, simulator: SimulatorThread) -> None:
    created = healthy(client, simulator, image(client).id)
    whole = client.deploy.logs(created.id)

    first = client.deploy.logs(created.id, limit=1)
    assert first.next_cursor is not None
    rest = client.deploy.logs(created.id, cursor=first.next_cursor)

    assert (first.has_more, rest.has_more) == (True, False)
    assert first.lines is not None
    assert rest.lines is not None
    assert whole.lines is not None
    assert [*first.lines, *rest.lines] == whole.lines
    assert [line.id for line in whole.lines] == sorted(line.id for line in whole.lines)


def test_an_empty_log_page_has_a_cursor_that_would_start_again(client: SGPClient, simulator: SimulatorThread) -> None:
    created = healthy(client, simulator, image(client).id)
    end = client.deploy.logs(created.id).next_cursor
    assert end is not None

    page = client.deploy.logs(created.id, cursor=end)

    assert (page.lines, page.next_cursor, page.has_more) == ([], "", False)


@pytest.mark.parametrize("limit", [0, 501])
def test_a_log_limit_outside_its_range_is_invalid(client: SGPClient, limit: int) -> None:
    with pytest.raises(UnprocessableEntityError):
        client.deploy.logs(deploy(client, image(client).id).id, limit=limit)
