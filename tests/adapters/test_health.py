"""The probes, asked over real HTTP."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from agentex_operator.clock import Clock
from agentex_operator.core.errors import Unavailable
from agentex_operator.health import Check, Health, has_started


@contextlib.asynccontextmanager
async def probes(live: Check, ready: Check) -> AsyncIterator[httpx.AsyncClient]:
    health = Health(Clock(), {"passes": live}, {"watch": ready})
    port = await health.start("127.0.0.1", 0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        yield client
    await health.stop()


def fine() -> str | None:
    return None


async def test_a_process_whose_checks_pass_is_live_and_ready() -> None:
    async with probes(fine, fine) as client:
        answers = [await client.get("/livez"), await client.get("/readyz")]

    assert [(answer.status_code, answer.text) for answer in answers] == [(200, "ok\n")] * 2


async def test_a_failed_check_fails_only_the_probe_that_it_belongs_to() -> None:
    async with probes(fine, has_started(lambda: None)) as client:
        live, ready = await client.get("/livez"), await client.get("/readyz")

    assert live.status_code == 200
    assert (ready.status_code, ready.text) == (503, "watch: not started yet\n")


async def test_connections_are_closed_so_that_none_delays_a_stop() -> None:
    async with probes(fine, has_started(timedelta)) as client:
        answer = await client.get("/readyz")

    assert answer.status_code == 200
    assert answer.headers["connection"] == "close"


async def test_the_error_of_a_port_in_use_names_the_flags_that_change_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable) as caught:
            await Health(Clock(), {}, {}).start("127.0.0.1", port)

    assert f"('127.0.0.1', {port}): address already in use" in caught.value.message
    assert "choose another address or port with --health-host and --health-port" in caught.value.message
