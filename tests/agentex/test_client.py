"""What arrives over there when the client is asked for something, and what it makes of the answers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tarfile
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.agentex.conftest import CANARY, Connect, a_build, a_deployment, some_builds, until

from agentex_operator.agentex.client import AgentexClient, Deadlines
from agentex_operator.core.errors import InvalidInput, Rejected, Unauthorized, Unavailable
from agentex_operator.core.remote import RemoteState
from agentex_simulator import SimulatorClient, SimulatorThread

MEGABYTE = 1_000_000
PROGRAM = Path(sys.executable).with_name("agentex-simulator")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A build context that never finishes building."""
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM scratch\n# simulate: stuck\n")
    packed = tmp_path / "context.tar.gz"
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(dockerfile, "Dockerfile")
    return packed


async def test_a_build_arrives_with_everything_that_was_asked_for(
    simulator: SimulatorThread, client: AgentexClient, archive: Path
) -> None:
    request = a_build(image_url=None, build_args=(("A", "1"), ("B", "x y")), platform="linux/arm64",
                      working_tree_hash="ab" * 32, source_ref="main (mark)", source_commit="c0ffee")

    created = await client.create_build(request, archive)

    (build,) = simulator.state()["builds"]
    assert created.state is RemoteState.WAITING
    assert (created.id, created.image_tag, created.source_ref) == (build["id"], request.image_tag, "main (mark)")
    assert (created.working_tree_hash, build["source_commit"]) == ("ab" * 32, "c0ffee")
    assert await client.get_build(created.id) is not None


@pytest.mark.parametrize("create", ["create_build", "create_deployment"])
async def test_a_create_whose_time_is_over_is_not_sent(
    simulator: SimulatorThread, client: AgentexClient, create: str
) -> None:
    (build,) = await some_builds(client, "bot")
    before = len(simulator.calls())
    told = (a_build(attempt=2), None) if create == "create_build" else (a_deployment(build.id),)

    with pytest.raises(Unavailable, match="was not sent"):
        await getattr(client, create)(*told, until=asyncio.get_running_loop().time() - 0.001)

    assert len(simulator.calls()) == before


async def test_a_create_ends_when_its_time_is_over_whatever_its_deadline(
    simulator: SimulatorThread, client: AgentexClient
) -> None:
    simulator.fault("slow", header_delay=5, match={"method": "POST"})

    with pytest.raises(Unavailable, match="was not answered"):
        await client.create_build(a_build(), None, until=asyncio.get_running_loop().time() + 0.2)


async def test_a_build_by_id_goes_to_the_agent_that_was_found_by_name(
    simulator: SimulatorThread, client: AgentexClient
) -> None:
    await some_builds(client, "bot", "other")

    agent = await client.find_agent("bot")
    again = await client.create_build(a_build(attempt=2, agent_id=agent), None)

    assert again.agent_name == "bot"
    assert len(simulator.state()["agents"]) == 2
    assert await client.find_agent("nobody") is None


async def test_an_agent_is_found_where_the_server_ignores_filter_and_order(
    simulator: SimulatorThread, client: AgentexClient
) -> None:
    bot, *_ = await some_builds(client, "bot", "other", "third")
    simulator.fault("filter-ignored", forever=True)
    simulator.fault("status", status=422, match={"query": {"sort_by": "."}}, forever=True)

    assert await client.find_agent("bot") == bot.agent_id


async def test_a_preview_arrives_with_its_label_and_expiry(
    simulator: SimulatorThread, client: AgentexClient
) -> None:
    (build,) = await some_builds(client, "bot")
    expiry = datetime(2100, 1, 1, tzinfo=UTC)

    preview = await client.create_deployment(
        a_deployment(build.id, preview=True, preview_label="pr-7", expires_at=expiry)
    )
    production = await client.create_deployment(a_deployment(build.id))

    assert (preview.preview_label, preview.expires_at, preview.token) == (
        "pr-7", expiry, f"cluster/uid-1/{'c' * 12}/1")
    assert (production.expires_at, production.state, production.namespace) == (None, RemoteState.WAITING, "team-dev")
    again = await client.get_deployment(preview.id)
    assert again is not None
    assert (again.id, again.token, again.created_at) == (preview.id, preview.token, preview.created_at)


async def test_removals_take_effect_in_the_remote_api(
    simulator: SimulatorThread, client: AgentexClient, archive: Path
) -> None:
    (image,) = await some_builds(client, "bot")
    build = await client.create_build(a_build("stuck", image_url=None), archive)
    deployment = await client.create_deployment(a_deployment(image.id))

    await client.cancel_build(build.id)
    await client.delete_deployment(deployment.id)

    gone = await client.get_deployment(deployment.id)
    assert gone is not None
    assert gone.state is RemoteState.DELETED
    assert "cancel" in {entry["verb"] for entry in simulator.ledger() if entry["id"] == build.id}
    with pytest.raises(Rejected):
        await client.delete_deployment(deployment.id)


async def test_an_id_that_could_be_a_path_is_never_sent(simulator: SimulatorThread, client: AgentexClient) -> None:
    for crooked in ("..", "a/b", "", "x" * 129, "a?b"):
        with pytest.raises(InvalidInput):
            await client.get_build(crooked)

    assert simulator.calls() == []


async def test_an_archive_that_is_too_large_is_rejected_although_it_was_still_being_sent(
    simulator: SimulatorThread, client: AgentexClient, tmp_path: Path
) -> None:
    large = tmp_path / "large"
    large.write_bytes(os.urandom(8 * MEGABYTE))

    with pytest.raises(Rejected) as refused:
        await client.create_build(a_build(image_url=None), large)

    assert refused.value.status == 413


async def test_a_create_without_its_archive_file_is_not_sent(
    simulator: SimulatorThread, client: AgentexClient, tmp_path: Path
) -> None:
    with pytest.raises(Unavailable, match="could not be read before it was sent"):
        await client.create_build(a_build(), tmp_path / "gone")

    assert simulator.calls() == []


@pytest.fixture
def process() -> Iterator[SimulatorClient]:
    """A simulator with memory of its own."""
    with subprocess.Popen([PROGRAM, "--account", f"acct-1={CANARY}"], stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        yield SimulatorClient(started.stdout.readline().split()[-1])
        started.kill()


async def test_64_megabytes_are_uploaded_in_little_memory(
    process: SimulatorClient, connect: Connect, tmp_path: Path
) -> None:
    large = tmp_path / "context.tar.gz"
    with large.open("wb") as file:
        for _ in range(64):
            file.write(os.urandom(MEGABYTE))
    client = connect(endpoint=process.address).client

    tracemalloc.start()
    await client.create_build(a_build(image_url=None), large)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    (call,) = process.calls()
    assert call["bytes"] > 64 * MEGABYTE
    assert peak < 4 * MEGABYTE


async def test_the_tail_of_a_log_is_its_last_lines(
    simulator: SimulatorThread, client: AgentexClient, archive: Path
) -> None:
    build = await client.create_build(a_build(image_url=None), archive)
    await until(lambda: simulator.state()["builds"][0]["status"] == "running")
    simulator.actor("finish-build", id=build.id, status="failed", reason="ERROR: it broke")

    whole = await client.build_log_tail(build.id)
    short = await client.build_log_tail(build.id, max_bytes=20)

    assert whole[0].startswith("Fetched build context")
    assert whole[-1] == short[-1] == "ERROR: it broke"
    assert len(short) == 1
    assert await client.build_log_tail("nobody") == ()


async def test_a_log_that_breaks_off_or_does_not_end_gives_its_lines_so_far(
    simulator: SimulatorThread, connect: Connect, archive: Path
) -> None:
    client = connect(deadlines=Deadlines(log=0.3)).client
    build = await client.create_build(a_build(image_url=None), archive)
    await until(lambda: simulator.state()["builds"][0]["status"] == "running")

    endless = await client.build_log_tail(build.id)
    simulator.actor("finish-build", id=build.id)
    simulator.fault("sse", cut_after=1)
    cut = await client.build_log_tail(build.id)

    assert endless[0] == cut[0]
    assert len(cut) == 1


async def test_a_key_reads_its_own_account_only(simulator: SimulatorThread, connect: Connect) -> None:
    await connect(endpoint=f"{simulator.url}/").client.probe()

    with pytest.raises(Unauthorized, match="Check the API key"):
        await connect(account_id="acct-2").client.probe()


async def test_pages_go_newest_first_from_the_cursor(simulator: SimulatorThread, client: AgentexClient) -> None:
    first, second, third = await some_builds(client, "a", "b", "c")

    page = await client.list_builds(2, None)
    rest = await client.list_builds(2, page.last_id)

    assert [record.id for record in (*page.records, *rest.records)] == [third.id, second.id, first.id]
    assert (page.has_more, rest.has_more) == (True, False)
