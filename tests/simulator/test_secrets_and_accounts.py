"""Secrets (agentex-api.md section 8); accounts and keys (section 1.0)."""

import hashlib

import httpx
import pytest
from scale_gp_beta import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    SGPClient,
    UnprocessableEntityError,
)
from tests.simulator.conftest import Connecting, Starting
from tests.simulator.make import deploy, ids, image, mutations

from agentex_simulator import SimulatorThread

pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")


def test_a_secret_is_kept_without_ever_showing_its_value(client: SGPClient, simulator: SimulatorThread) -> None:
    made = client.secrets.create(key="redis-url", value="s3cret", description="d")

    assert (made.key, made.description, made.cloud_secret_path) == ("redis-url", "d", "sgp/acct-1/redis-url")
    assert client.secrets.retrieve(made.id) == made
    shown = made.to_json() + str(simulator.ledger()) + str(simulator.calls()) + str(simulator.state())
    assert "s3cret" not in shown


def test_a_duplicate_key_conflicts(client: SGPClient) -> None:
    client.secrets.create(key="a", value="1")

    with pytest.raises(ConflictError):
        client.secrets.create(key="a", value="2")


@pytest.mark.parametrize("key", ["", "A", "a_b", "a.b", "-a", "a-", "a" * 91])
def test_a_malformed_key_is_invalid(client: SGPClient, key: str) -> None:
    with pytest.raises(UnprocessableEntityError):
        client.secrets.create(key=key, value="v")


def test_a_rotation_shows_in_the_time_and_in_the_ledger(client: SGPClient, simulator: SimulatorThread) -> None:
    made = client.secrets.create(key="a", value="1", description="kept")

    changed = client.secrets.update(made.id, value="2")

    assert (made.updated_at, changed.updated_by, changed.description) == (None, "sa-acct-1", "kept")
    assert changed.updated_at is not None
    digests = [entry["value_sha256"] for entry in mutations(simulator, kind="secret")]
    assert digests == [hashlib.sha256(value).hexdigest() for value in (b"1", b"2")]


def test_a_deleted_secret_is_gone_and_its_key_is_free(client: SGPClient) -> None:
    made = client.secrets.create(key="a", value="1")
    client.secrets.delete(made.id)

    with pytest.raises(NotFoundError):
        client.secrets.retrieve(made.id)
    assert ids(client.secrets.list()) == []
    assert client.secrets.create(key="a", value="1").id != made.id


def test_secrets_are_paged(client: SGPClient) -> None:
    made = [client.secrets.create(key=f"k{n}", value="v").id for n in range(5)]
    client.secrets.delete(made[2])

    assert ids(client.secrets.list(limit=2)) == made[:2] + made[3:]
    assert ids(client.secrets.list(starting_after=made[2]).items) == made[3:]


def test_any_other_key_is_refused(simulator: SimulatorThread, connect: Connecting) -> None:
    with pytest.raises(AuthenticationError):
        connect(simulator, key="wrong").build.list()
    assert httpx.get(f"{simulator.url}/v5/builds").status_code == 401


def test_an_account_that_is_not_the_keys_is_forbidden(simulator: SimulatorThread, connect: Connecting) -> None:
    with pytest.raises(PermissionDeniedError):
        connect(simulator, account="acct-2", key="key-1").build.list()


def test_without_an_account_header_the_keys_account_is_meant(simulator: SimulatorThread, client: SGPClient) -> None:
    built = image(client)

    seen = httpx.get(f"{simulator.url}/v5/builds", headers={"x-api-key": "key-1"}).json()

    assert [item["id"] for item in seen["items"]] == [built.id]


def test_accounts_see_nothing_of_one_another(simulator: SimulatorThread, connect: Connecting) -> None:
    mine, theirs = connect(simulator), connect(simulator, "acct-2", "key-2")
    built = image(mine)
    deployed = deploy(mine, built.id)
    secret = mine.secrets.create(key="a", value="1")

    for ask, wanted in (
        (theirs.build.retrieve, built.id),
        (theirs.build.cancel, built.id),
        (theirs.build.logs, built.id),
        (theirs.deploy.retrieve, deployed.id),
        (theirs.deploy.delete, deployed.id),
        (theirs.deploy.logs, deployed.id),
        (theirs.secrets.retrieve, secret.id),
        (theirs.secrets.delete, secret.id),
    ):
        with pytest.raises(NotFoundError):
            ask(wanted)
    with pytest.raises(BadRequestError):
        deploy(theirs, built.id)
    with pytest.raises(NotFoundError):
        image(theirs, agent_id=built.agent_id)
    for resource in (theirs.build, theirs.deploy, theirs.secrets):
        assert ids(resource.list()) == []
    assert image(theirs).agent_name == "bot"


def test_keys_can_be_rotated_while_it_runs(simulator: SimulatorThread, connect: Connecting) -> None:
    old, new = connect(simulator), connect(simulator, key="fresh")
    built = image(old)

    simulator.set_keys("acct-1", "fresh")

    with pytest.raises(AuthenticationError):
        old.build.list()
    assert ids(new.build.list()) == [built.id]


def test_the_api_can_live_under_a_prefix(start: Starting, connect: Connecting) -> None:
    simulator = start(prefix="/public")

    built = image(connect(simulator))

    assert simulator.url.endswith("/public")
    assert simulator.calls()[0]["path"] == "/v5/builds"
    assert simulator.ledger()[-1]["id"] == built.id
