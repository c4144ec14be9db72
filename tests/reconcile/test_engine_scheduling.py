"""The engine: when passes run, what happens when they fail, and how the engine starts and ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from tests.reconcile.engines import SECOND, EngineSetup, Passes, an_object, jitterless, running

from agentex_operator.reconcile.engine import Engine
from agentex_operator.reconcile.slots import MOST_WAITING
from agentex_operator.reconcile.urgency import Urgency
from agentex_operator.reconcile.views import View
from agentex_operator.reconcile.work_queue import Outcome
from agentex_testkit.clocks import HandClock, run_ready_tasks


@pytest.fixture
async def setup() -> AsyncIterator[EngineSetup]:
    async with running() as setup:
        yield setup


async def test_of_several_due_times_the_earliest_wins_and_the_pass_uses_up_the_others(setup: EngineSetup) -> None:
    await setup.observe(an_object())
    for seconds in (30, 10, 20):
        setup.engine.wake_after("u1", timedelta(seconds=seconds))

    await setup.clock.advance(9.9)
    assert len(setup.passes.seen) == 1
    await setup.clock.advance(0.2)
    assert len(setup.passes.seen) == 2
    await setup.clock.advance(60)
    assert len(setup.passes.seen) == 2


async def test_a_pass_before_the_due_time_uses_it_up(setup: EngineSetup) -> None:
    await setup.observe(an_object())
    setup.engine.wake_after("u1", timedelta(seconds=30))
    await setup.clock.advance(5)
    setup.engine.wake("u1")
    await setup.clock.advance(60)

    assert len(setup.passes.seen) == 2
    assert setup.engine.stats.due_times == setup.clock.armed == 0


async def test_overtaken_due_times_do_not_pile_up(setup: EngineSetup) -> None:
    await setup.observe(an_object("quiet", name="quiet"))
    setup.engine.wake_after("quiet", timedelta(minutes=1))
    setup.passes.outcome = Outcome(requeue_after=timedelta(hours=1))
    for version in range(1, 500):
        await setup.observe(an_object(version=version))

    assert setup.engine.stats.due_times < 100
    assert setup.clock.armed == 1


async def test_an_object_removed_while_it_waits_for_a_worker_gets_no_pass() -> None:
    async with running(workers=1) as setup:
        setup.passes.gate = asyncio.Event()
        await setup.observe(an_object("u1", name="a"))
        await setup.observe(an_object("u2", name="b"))
        await setup.observe(an_object("u2", 2, name="b"), "DELETED")
        setup.passes.gate.set()
        await run_ready_tasks()

        assert [view.uid for view in setup.passes.seen] == ["u1"]


async def test_a_pass_is_repeated_after_the_time_it_asked_for(setup: EngineSetup) -> None:
    setup.passes.outcome = Outcome(requeue_after=timedelta(seconds=10))
    await setup.observe(an_object())

    await setup.clock.advance(35)

    assert len(setup.passes.seen) == 4


@pytest.mark.parametrize("outcome", [Outcome(failed=True), ValueError("a bug")])
async def test_failures_back_off_exponentially(setup: EngineSetup, outcome: Outcome | Exception) -> None:
    setup.passes.outcome = outcome
    await setup.observe(an_object())
    for count, seconds in enumerate((1, 2, 4, 8), start=1):
        assert len(setup.passes.seen) == count
        await setup.clock.advance(seconds)

    assert setup.engine.failures("u1") == 5


async def test_passes_woken_before_the_backoff_is_over_do_not_make_it_longer(setup: EngineSetup) -> None:
    setup.passes.outcome = Outcome(failed=True)
    await setup.observe(an_object())
    for _ in range(10):
        await setup.clock.advance(0.1)
        setup.engine.wake("u1")
        await run_ready_tasks()

    assert setup.engine.failures("u1") == 1
    await setup.clock.advance(1)
    assert len(setup.passes.seen) == 12


async def test_success_resets_the_backoff(setup: EngineSetup) -> None:
    setup.passes.outcome = Outcome(failed=True)
    await setup.observe(an_object())
    await setup.clock.advance(3)
    setup.passes.outcome = Outcome()
    setup.engine.wake("u1")
    await run_ready_tasks()

    assert setup.engine.failures("u1") == 0


async def test_a_failed_pass_waits_at_least_as_long_as_it_asked_for(setup: EngineSetup) -> None:
    setup.passes.outcome = Outcome(requeue_after=timedelta(seconds=40), failed=True)
    await setup.observe(an_object())

    await setup.clock.advance(39)
    assert len(setup.passes.seen) == 1
    await setup.clock.advance(1)
    assert len(setup.passes.seen) == 2


async def test_a_bug_is_counted_and_logged_once_with_its_trace(
        setup: EngineSetup, caplog: pytest.LogCaptureFixture) -> None:
    setup.passes.outcome = ValueError("a bug")
    await setup.observe(an_object())

    assert setup.engine.bugs == 1
    [record] = caplog.records
    assert record.exc_info


async def test_a_pass_that_is_cancelled_from_inside_does_not_end_its_worker() -> None:
    async with running(workers=1) as setup:
        setup.passes.outcome = asyncio.CancelledError()  # type: ignore[assignment]
        setup.engine.register("Thing", _cancelled_within)
        await setup.observe(an_object())
        setup.engine.register("Thing", setup.passes)
        setup.passes.outcome = Outcome()
        await setup.observe(an_object("u2", name="b"))

        assert [view.uid for view in setup.passes.seen] == ["u2"]
        assert setup.engine.bugs == 1


async def _cancelled_within(_: View) -> Outcome:
    raise asyncio.CancelledError


async def test_workers_are_bounded_and_take_objects_in_order() -> None:
    async with running(workers=3) as setup:
        setup.passes.gate = asyncio.Event()
        for n in range(20):
            await setup.observe(an_object(f"u{n}", name=f"n{n}"))
        assert (setup.engine.stats.in_flight, setup.engine.stats.depth) == (3, 17)

        setup.passes.gate.set()
        await run_ready_tasks()

        assert [view.uid for view in setup.passes.seen] == [f"u{n}" for n in range(20)]
        assert setup.passes.most_at_once == 3


async def test_an_object_that_always_fails_does_not_starve_the_others() -> None:
    async with running(workers=1) as setup:
        setup.passes.outcome = Outcome(failed=True)
        await setup.observe(an_object("bad", name="bad"))
        setup.passes.outcome = Outcome()
        setup.engine.register("Thing", _fails_if_bad(setup.passes))
        for n in range(50):
            await setup.observe(an_object(f"u{n}", name=f"n{n}"))
        await setup.clock.advance(600)

        assert len({view.uid for view in setup.passes.seen}) == 51
        assert setup.engine.failures("bad") < 15


def _fails_if_bad(passes: Passes) -> Any:
    async def reconcile(view: View) -> Outcome:
        await passes(view)
        return Outcome(failed=view.uid == "bad")

    return reconcile


async def test_idle_objects_cost_one_timer_and_no_task() -> None:
    async with running() as setup:
        setup.passes.outcome = Outcome(requeue_after=timedelta(minutes=5))
        before = len(asyncio.all_tasks())
        for n in range(10_000):
            setup.engine.observe("Thing", None, an_object(f"u{n}", name=f"n{n}"))
        while setup.engine.stats.depth:
            await run_ready_tasks()

        assert len(asyncio.all_tasks()) == before
        assert setup.clock.armed == 1


async def test_drain_waits_for_the_pass_in_flight_and_starts_no_other(setup: EngineSetup) -> None:
    setup.passes.gate = asyncio.Event()
    await setup.observe(an_object())
    draining = asyncio.create_task(setup.engine.drain(10 * SECOND))
    await run_ready_tasks()
    await setup.observe(an_object("u2", name="b"))
    setup.passes.gate.set()
    await draining

    assert [view.uid for view in setup.passes.seen] == setup.passes.ended == ["u1"]
    assert setup.engine.stats.in_flight == setup.clock.armed == 0


async def test_drain_cancels_a_pass_that_takes_too_long(
        setup: EngineSetup, caplog: pytest.LogCaptureFixture) -> None:
    setup.passes.gate = asyncio.Event()
    await setup.observe(an_object())

    await setup.engine.drain(timedelta(milliseconds=20))

    assert setup.passes.running == 0
    assert setup.passes.ended == []
    assert setup.engine.bugs == 0
    assert [record.message for record in caplog.records] == ["pass cut off by shutdown"]


async def test_objects_observed_before_the_start_are_worked_on_at_the_start() -> None:
    engine, passes = Engine(HandClock(), 1, jitterless), Passes()
    engine.register("Thing", passes)
    engine.observe("Thing", None, an_object())

    await engine.start()
    await run_ready_tasks()
    await engine.drain(SECOND)

    assert len(passes.seen) == 1


async def test_the_news_of_one_object_goes_ahead_of_the_first_passes_of_others() -> None:
    async with running(workers=1) as setup:
        setup.passes.gate = asyncio.Event()
        await setup.observe(an_object("busy", name="busy"))
        for number in range(3):
            await setup.observe(an_object(f"new-{number}", name=f"new-{number}"), "ADDED")
        await setup.observe({**an_object("ended", name="ended"), "status": {"buildID": "b-1"}}, "ADDED")
        setup.engine.wake("ended", Urgency.NEWS)
        setup.passes.gate.set()
        await run_ready_tasks()

        assert [view.uid for view in setup.passes.seen[:3]] == ["busy", "ended", "new-0"]
        assert len(setup.passes.seen) == 5


async def test_the_objects_of_a_kind_on_which_many_depend_go_first_whatever_the_reason() -> None:
    async with running(workers=1) as setup:
        accounts = Passes()
        setup.engine.register("Account", accounts, goes_first=True)
        setup.passes.gate = asyncio.Event()
        setup.engine.observe("Account", "ADDED", an_object("account", name="account"))
        await setup.observe(an_object("busy", name="busy"))
        await setup.observe(an_object("new", name="new"), "ADDED")
        setup.engine.wake_after("account", timedelta(hours=1))
        await setup.clock.advance(3600)
        setup.passes.gate.set()
        accounts.gate = asyncio.Event()
        await run_ready_tasks()

        assert len(accounts.seen) == 2
        assert [view.uid for view in setup.passes.seen] == ["busy"]
        accounts.gate.set()


async def test_passes_that_wait_for_a_listing_let_others_run_but_not_for_themselves() -> None:
    async with running(workers=2) as setup:
        waiting, listed = WaitingPasses(setup.engine), asyncio.Event()
        waiting.listed = listed
        setup.engine.register("Waiting", waiting)
        for number in range(6):
            setup.engine.observe("Waiting", "ADDED", an_object(f"u{number}", name=f"u{number}"))
        await setup.observe(an_object("other", name="other"))

        assert waiting.asked == 6
        assert len(setup.passes.ended) == 1
        listed.set()
        await run_ready_tasks()
        assert waiting.most_at_once == 2
        await setup.clock.advance(10)
        assert waiting.ended == 6


async def test_no_more_than_so_many_passes_wait() -> None:
    async with running(workers=2) as setup:
        waiting = WaitingPasses(setup.engine)
        setup.engine.register("Waiting", waiting)
        for number in range(3 * MOST_WAITING):
            setup.engine.observe("Waiting", "ADDED", an_object(f"u{number}", name=f"u{number}"))
        await run_ready_tasks()
        await run_ready_tasks()

        assert waiting.asked == 2 * MOST_WAITING + 2
        waiting.listed.set()
        for _ in range(2 * MOST_WAITING):
            await setup.clock.advance(1)
        assert waiting.ended == 3 * MOST_WAITING
        assert waiting.most_at_once == 2


async def test_a_drain_cuts_off_passes_that_wait_for_a_listing_and_the_engine_starts_again() -> None:
    async with running(workers=1) as setup:
        waiting = WaitingPasses(setup.engine)
        setup.engine.register("Waiting", waiting)
        for number in range(4):
            setup.engine.observe("Waiting", "ADDED", an_object(f"u{number}", name=f"u{number}"))
        await run_ready_tasks()

        await setup.engine.drain(timedelta(milliseconds=1))
        assert waiting.ended == 0
        assert setup.engine.stats.in_flight == 0
        waiting.listed.set()
        await setup.engine.start()
        await setup.observe(an_object("other", name="other"))
        assert setup.passes.ended == ["other"]


class WaitingPasses:
    """Passes that wait for a listing without a slot, then need a second each."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self.listed = engine, asyncio.Event()
        self.asked = self.running = self.most_at_once = self.ended = 0

    async def __call__(self, _view: View) -> Outcome:
        self.asked += 1
        async with self._engine.without_a_slot():
            await self.listed.wait()
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        for _turn in range(5):
            await asyncio.sleep(0)
        self.running -= 1
        self.ended += 1
        return Outcome()
