"""The probes, asked over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from tests.reconcile.engines import EngineSetup, Passes, an_object

from agentex_operator.clock import Clock
from agentex_operator.core.errors import Unavailable
from agentex_operator.health import Check, Health, first_passes_have_begun, has_started
from agentex_operator.reconcile.engine import Engine
from agentex_testkit.clocks import HandClock, run_ready_tasks


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


async def test_the_operator_is_ready_when_the_first_pass_of_each_object_that_was_there_has_begun() -> None:
    async with after_a_start("a", "b", "c") as (check, setup, gate):
        assert check() == "objects that wait for their first pass since the start: 2"
        await setup.observe(an_object("new", name="new"))
        await setup.observe(an_object("c", 2, name="c"), "DELETED")
        assert check() == "objects that wait for their first pass since the start: 1"
        gate.set()
        await run_ready_tasks()
        assert check() is None
        gate.clear()
        for uid in ("a", "b"):
            setup.engine.wake(uid)
        await run_ready_tasks()
        assert check() is None


async def test_a_first_pass_that_does_not_begin_makes_the_operator_unready_for_five_minutes() -> None:
    async with after_a_start("a", "b") as (check, setup, gate):
        await setup.clock.advance(299)
        assert check() is not None
        await setup.clock.advance(2)
        assert check() is None
        gate.set()


@contextlib.asynccontextmanager
async def after_a_start(*uids: str) -> AsyncIterator[tuple[Check, EngineSetup, asyncio.Event]]:
    """An engine with one worker that was started with these objects; its passes wait for the gate."""
    clock, passes, gate = HandClock(), Passes(), asyncio.Event()
    passes.gate = gate
    setup = EngineSetup(Engine(clock, 1, lambda: 0.0), clock, passes)
    setup.engine.register("Thing", passes)
    for uid in uids:
        setup.engine.observe("Thing", None, an_object(uid, name=uid))
    await setup.engine.start()
    await run_ready_tasks()
    yield first_passes_have_begun(setup.engine, clock), setup, gate
    gate.set()
    await setup.engine.drain(timedelta(seconds=1))
