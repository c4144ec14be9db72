"""Previews (agentex-api.md section 6)."""

from datetime import UTC, datetime, timedelta

import pytest
from scale_gp_beta import BadRequestError, SGPClient, UnprocessableEntityError
from tests.simulator.conftest import Connecting, Starting
from tests.simulator.make import deploy, deployment_status, healthy, image, manifest, mutations, until

from agentex_simulator import SimulatorThread


def in_seconds(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)  # noqa: TID251 - expiry is real time


def test_a_preview_has_its_own_release_and_leaves_production_alone(
    client: SGPClient, simulator: SimulatorThread
) -> None:
    built = image(client)
    production = healthy(client, simulator, built.id)

    one, other = (healthy(client, simulator, built.id, preview=True, preview_label="PR 482") for _ in range(2))

    assert one.helm_release_name != other.helm_release_name
    assert one.helm_release_name == f"bot-pr-482-{one.id[-4:]}"
    assert client.deploy.retrieve(production.id).status == "HEALTHY"
    assert client.deploy.retrieve(one.id).status == "HEALTHY"


def test_a_new_production_deployment_leaves_previews_alone(client: SGPClient, simulator: SimulatorThread) -> None:
    built = image(client)
    preview = healthy(client, simulator, built.id, preview=True)

    healthy(client, simulator, built.id)

    assert client.deploy.retrieve(preview.id).status == "HEALTHY"


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("Feature/ABC_1", "feature-abc-1"),
        ("--x--", "x"),
        ("ünï", "n"),
        ("///", None),
        ("a" * 29 + "-b", "a" * 29),
        ("a" * 40, "a" * 30),
    ],
)
def test_labels_are_sanitised_and_cut(client: SGPClient, label: str, shown: str | None) -> None:
    assert deploy(client, image(client).id, preview=True, preview_label=label).preview_label == shown


def test_a_preview_lives_eight_hours_unless_told_otherwise(client: SGPClient) -> None:
    built = image(client)
    usual = deploy(client, built.id, preview=True)
    moment = in_seconds(1234.567891)
    chosen = deploy(client, built.id, preview=True, expires_at=moment)

    assert usual.expires_at - usual.created_at == timedelta(hours=8)
    assert chosen.expires_at == moment


def test_an_expiry_must_be_a_moment_in_the_future(client: SGPClient) -> None:
    built = image(client)

    with pytest.raises(BadRequestError, match="past"):
        deploy(client, built.id, preview=True, expires_at=in_seconds(-1))
    with pytest.raises(UnprocessableEntityError):
        deploy(client, built.id, preview=True, expires_at="soon")


def test_the_sweep_tears_an_expired_preview_down_in_real_time(client: SGPClient, simulator: SimulatorThread) -> None:
    built = image(client)
    brief = deploy(client, built.id, preview=True, expires_at=in_seconds(0.4))
    lasting = deploy(client, built.id, preview=True)
    until(deployment_status(client, brief.id), "HEALTHY")

    until(deployment_status(client, brief.id), "DELETED")

    gone = mutations(simulator, id=brief.id, verb="delete")[0]
    assert gone["cause"] == "sweep"
    assert datetime.fromisoformat(gone["time"]) >= brief.expires_at
    assert client.deploy.retrieve(lasting.id).status != "DELETED"


def test_the_sweep_can_lag(start: Starting, connect: Connecting) -> None:
    simulator = start(expiry_lag=0.3)
    client = connect(simulator)
    brief = deploy(client, image(client).id, preview=True, expires_at=in_seconds(0.2))

    until(deployment_status(client, brief.id), "DELETED")

    gone = mutations(simulator, id=brief.id, verb="delete")[0]
    assert datetime.fromisoformat(gone["time"]) >= brief.expires_at + timedelta(seconds=0.3)


def test_a_failed_preview_is_swept_too(client: SGPClient) -> None:
    broken = manifest(description="simulate: unhealthy")
    brief = deploy(client, image(client).id, preview=True, expires_at=in_seconds(0.5), manifest_file=broken)
    until(deployment_status(client, brief.id), "FAILED")

    until(deployment_status(client, brief.id), "DELETED")
