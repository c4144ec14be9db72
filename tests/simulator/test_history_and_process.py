"""Ledger and journal; the simulator in a loop, in a thread and as a process."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from scale_gp_beta import APIStatusError, NotFoundError, SGPClient
from tests.simulator.conftest import Connecting
from tests.simulator.make import ENVIRONMENT, build, build_status, deploy, healthy, image, manifest, mutations, until

from agentex_simulator import Settings, Simulator, SimulatorClient, SimulatorThread
from agentex_simulator.ledger import ACTOR

PROGRAM = Path(sys.executable).with_name("agentex-simulator")


def test_the_ledger_only_grows_and_counts_from_one(client: SGPClient, simulator: SimulatorThread) -> None:
    healthy(client, simulator, image(client).id)
    before = simulator.ledger()

    client.deploy.delete(before[-1]["id"])
    until(lambda: len(mutations(simulator, kind="release", verb="uninstall")), 1)  # the last entry that comes by itself
    after = simulator.ledger()

    assert after[: len(before)] == before
    assert [entry["seq"] for entry in after] == list(range(1, len(after) + 1))
    assert simulator.ledger(since=len(before)) == after[len(before) :]


def test_a_change_to_a_copy_does_not_reach_the_ledger() -> None:
    ledger = Simulator().simulation.world.ledger
    ledger.write(ACTOR, "create", {"id": "x"})

    ledger.since()[0]["id"] = "forged"

    assert ledger.since()[0]["id"] == "x"


def test_an_entry_names_the_call_that_caused_it(client: SGPClient, simulator: SimulatorThread) -> None:
    built = image(client, image_tag="abc-1", source_ref="refs/x", source_commit="c0ffee")
    deploy(client, built.id, manifest_file=manifest(token="4711"))

    made, deployed = mutations(simulator, kind="build")[0], mutations(simulator, kind="deployment")[0]
    calls = {call["seq"]: call for call in simulator.calls()}

    assert (made["image_tag"], made["source_ref"], made["source_commit"]) == ("abc-1", "refs/x", "c0ffee")
    assert (made["account"], made["agent"], made["cause"]) == ("acct-1", "bot", "api")
    assert calls[made["call"]]["template"] == "/v5/builds"
    assert (deployed["manifest_first_line"], deployed["environment_first_line"]) == (
        "# attempt: 4711",
        ENVIRONMENT.split("\n", maxsplit=1)[0],
    )


def test_what_happens_by_itself_is_told_apart_from_calls(client: SGPClient, simulator: SimulatorThread) -> None:
    until(build_status(client, build(client).id), "success")

    assert [entry["cause"] for entry in mutations(simulator, kind="build")] == ["api", "workflow", "workflow"]


def test_every_call_is_in_the_journal(client: SGPClient, simulator: SimulatorThread) -> None:
    with pytest.raises(NotFoundError):
        client.build.retrieve("nothing")
    simulator.fault("throttle")
    assert httpx.get(f"{simulator.url}/v5/builds?limit=3").status_code == 429
    assert httpx.get(f"{simulator.url}/v6/other", headers={"x-api-key": "key-1"}).status_code == 404

    missing, throttled, other = simulator.calls()

    assert (missing["template"], missing["path"]) == ("/v5/builds/{build_id}", "/v5/builds/nothing")
    assert (missing["method"], missing["status"], missing["account"]) == ("GET", 404, "acct-1")
    assert (throttled["query"], throttled["status"], throttled["account"]) == ({"limit": "3"}, 429, None)
    assert throttled["faults"] == ["fault-1:throttle"]
    assert (other["path"], other["status"], other["faults"]) == ("/v6/other", 404, [])
    assert simulator.calls(since=2) == [other]


def test_the_journal_counts_the_bytes_of_an_upload(client: SGPClient, simulator: SimulatorThread) -> None:
    build(client)

    call = simulator.calls()[0]
    assert call["bytes"] > mutations(simulator, kind="build")[0]["archive_bytes"]


def test_the_state_shows_what_the_api_hides(client: SGPClient, simulator: SimulatorThread) -> None:
    built = image(client)
    simulator.actor("archive-build", id=built.id)

    assert [(one["id"], one["archived"]) for one in simulator.state()["builds"]] == [(built.id, True)]
    assert [agent["name"] for agent in simulator.state()["agents"]] == ["bot"]


def test_a_reset_leaves_nothing_and_time_goes_on(client: SGPClient, simulator: SimulatorThread) -> None:
    build(client)
    simulator.fault("outage", forever=True)
    simulator.set_keys("acct-1", "other")

    simulator.reset()

    assert (simulator.ledger(), simulator.calls(), simulator.faults()) == ([], [], [])
    until(build_status(client, build(client).id), "success")


async def test_it_runs_inside_an_event_loop() -> None:
    async with Simulator(Settings(prefix="/public")) as simulator, httpx.AsyncClient() as http:
        answer = await http.get(f"{simulator.url}/v5/builds", headers={"x-api-key": "key-1"})

    assert answer.json() == {"items": [], "has_more": False}


def test_stopping_does_not_wait_for_an_open_stream(connect: Connecting) -> None:
    with SimulatorThread(Settings()) as simulator:
        client = connect(simulator)
        stream = client.build.logs(build(client).id)
    stream.close()


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    arguments = ["--account", "a=k1", "--account", "a=k2", "--prefix", "/public", "--SIM_TIME_SCALE", "1000"]
    environment = {**os.environ, "SIM_MAX_ARCHIVE": "10"}
    with subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.PIPE, text=True, env=environment) as started:
        yield started
        started.kill()


def test_the_program_says_where_it_listens_obeys_its_settings_and_ends_on_sigterm(
    process: subprocess.Popen[str],
) -> None:
    assert process.stdout is not None
    said = process.stdout.readline().split()
    control = SimulatorClient(said[-1])

    for key in ("k1", "k2"):
        with SGPClient(api_key=key, account_id="a", base_url=f"{said[-1]}/public", max_retries=0) as client:
            assert client.build.list().items == []
            with pytest.raises(APIStatusError) as refused:
                build(client)
    calls = control.calls()
    process.send_signal(signal.SIGTERM)

    assert said[:-1] == ["agentex-simulator", "listening", "on"]
    assert refused.value.status_code == 413
    assert len(calls) == 4
    assert process.wait(5) == 0
