"""The work queue as a part: order, one pass at a time, due times, backoff, dropping and shutting."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from agentex_operator.reconcile.work_queue import Backoff, Outcome, WorkQueue
from agentex_testkit.clocks import HandClock, run_ready_tasks

SECOND = timedelta(seconds=1)
FAILED = Outcome(failed=True)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def queue(clock: HandClock) -> WorkQueue:
    return WorkQueue(clock, lambda: 0.0, Backoff())


def taken(queue: WorkQueue) -> list[str]:
    """All objects that can be handed out now; their passes stay in flight."""
    return list(iter(queue.take, None))


def run_pass(queue: WorkQueue, outcome: Outcome) -> None:
    """The next object's pass, which ends with that outcome at once."""
    uid = queue.take()
    assert uid is not None
    queue.requeue(uid, outcome)
    queue.done(uid)


def test_objects_are_handed_out_in_the_order_in_which_they_were_added(queue: WorkQueue) -> None:
    for uid in ("b", "a", "b", "c"):
        queue.add(uid)

    assert taken(queue) == ["b", "a", "c"]


def test_an_object_added_during_its_pass_is_queued_once_when_the_pass_is_done(queue: WorkQueue) -> None:
    queue.add("a")
    queue.take()
    queue.add("a")
    queue.add("a")
    assert taken(queue) == []

    queue.done("a")

    assert taken(queue) == ["a"]
    queue.done("a")
    assert taken(queue) == []


async def test_a_worker_that_waits_gets_the_next_object(queue: WorkQueue) -> None:
    waiting = asyncio.create_task(queue.filled())
    await run_ready_tasks()

    queue.add("a")

    await waiting
    assert queue.take() == "a"


async def test_of_several_due_times_the_earliest_counts(queue: WorkQueue, clock: HandClock) -> None:
    for seconds in (30, 10, 20):
        queue.add_after("a", timedelta(seconds=seconds))

    await clock.advance(9.9)
    assert queue.stats.depth == 0
    await clock.advance(0.2)
    assert taken(queue) == ["a"]
    queue.done("a")
    await clock.advance(60)
    assert queue.stats.depth == 0


async def test_a_pass_uses_up_the_due_time(queue: WorkQueue, clock: HandClock) -> None:
    queue.add_after("a", 10 * SECOND)
    queue.add("a")

    run_pass(queue, Outcome())
    await clock.advance(60)

    assert queue.stats.depth == queue.stats.due_times == clock.armed == 0


async def test_a_negative_delay_is_due_at_once(queue: WorkQueue, clock: HandClock) -> None:
    queue.add_after("a", -SECOND)
    await clock.advance(0)

    assert taken(queue) == ["a"]


async def test_all_due_times_share_one_timer(queue: WorkQueue, clock: HandClock) -> None:
    for number in range(100):
        queue.add_after(f"u{number}", timedelta(seconds=100 - number))

    assert clock.armed == 1
    await clock.advance(100)
    assert taken(queue) == [f"u{number}" for number in reversed(range(100))]


def test_overtaken_due_times_are_thrown_away(queue: WorkQueue, clock: HandClock) -> None:
    queue.add_after("first", SECOND)
    for milliseconds in range(10_000, 5_000, -1):
        queue.add_after("a", timedelta(milliseconds=milliseconds))

    assert queue.stats.due_times < 100
    assert clock.armed == 1


async def test_a_requeue_is_due_when_the_outcome_says(queue: WorkQueue, clock: HandClock) -> None:
    queue.add("a")
    run_pass(queue, Outcome(requeue_after=10 * SECOND))

    await clock.advance(9.9)
    assert queue.stats.depth == 0
    await clock.advance(0.1)
    assert queue.stats.depth == 1


async def test_jitter_makes_a_requeue_late_by_at_most_a_tenth(clock: HandClock) -> None:
    queue = WorkQueue(clock, lambda: 0.999, Backoff())
    queue.add("a")
    run_pass(queue, Outcome(requeue_after=10 * SECOND))

    await clock.advance(10.9)
    assert queue.stats.depth == 0
    await clock.advance(0.1)
    assert queue.stats.depth == 1


async def test_failures_in_a_row_back_off(queue: WorkQueue, clock: HandClock) -> None:
    queue.add("a")
    for failures, seconds in enumerate((1, 2, 4, 8), start=1):
        run_pass(queue, FAILED)
        assert queue.failures("a") == failures
        await clock.advance(seconds - 0.1)
        assert queue.stats.depth == 0
        await clock.advance(0.1)
        assert queue.stats.depth == 1


def test_a_success_ends_the_row_of_failures(queue: WorkQueue) -> None:
    for outcome in (FAILED, FAILED, Outcome()):
        queue.add("a")
        run_pass(queue, outcome)

    assert queue.failures("a") == 0


async def test_a_pass_woken_before_the_backoff_is_over_does_not_count(queue: WorkQueue, clock: HandClock) -> None:
    for _ in range(5):
        queue.add("a")
        run_pass(queue, FAILED)
        await clock.advance(0.1)

    assert queue.failures("a") == 1


async def test_a_failure_waits_at_least_as_long_as_the_outcome_asks(queue: WorkQueue, clock: HandClock) -> None:
    queue.add("a")
    run_pass(queue, Outcome(requeue_after=40 * SECOND, failed=True))

    await clock.advance(39)
    assert queue.stats.depth == 0
    await clock.advance(1)
    assert queue.stats.depth == 1


async def test_a_dropped_object_is_not_handed_out(queue: WorkQueue, clock: HandClock) -> None:
    queue.add("a")
    queue.add("b")
    queue.add_after("c", SECOND)

    queue.drop("a")
    queue.drop("c")
    await clock.advance(10)

    assert taken(queue) == ["b"]
    assert clock.armed == 0


async def test_a_dropped_object_leaves_nothing_when_its_pass_ends(queue: WorkQueue, clock: HandClock) -> None:
    queue.add("a")
    queue.take()
    queue.add("a")

    queue.drop("a")
    queue.requeue("a", Outcome(requeue_after=SECOND, failed=True))
    queue.done("a")
    await clock.advance(10)

    assert queue.failures("a") == queue.stats.depth == queue.stats.in_flight == clock.armed == 0


def test_an_object_dropped_and_added_anew_waits_until_its_pass_is_done(queue: WorkQueue) -> None:
    queue.add("a")
    queue.take()
    queue.drop("a")
    queue.add("a")
    assert taken(queue) == []

    queue.done("a")

    assert taken(queue) == ["a"]


async def test_a_shut_queue_takes_in_nothing_until_it_is_opened(queue: WorkQueue, clock: HandClock) -> None:
    queue.add_after("before", SECOND)
    queue.shut_down()
    queue.add("a")
    queue.add_after("b", SECOND)
    await clock.advance(10)
    assert queue.stats.depth == clock.armed == 0

    queue.open()
    await clock.advance(0)

    assert taken(queue) == ["before"]


async def test_stats_say_how_long_the_oldest_wait_and_pass_have_lasted(queue: WorkQueue, clock: HandClock) -> None:
    queue.add("a")
    await clock.advance(3)
    queue.take()
    await clock.advance(4)
    queue.add("b")
    await clock.advance(5)

    assert (queue.stats.depth, queue.stats.in_flight) == (1, 1)
    assert queue.stats.oldest_wait == 5 * SECOND
    assert queue.stats.longest_pass == 9 * SECOND


def test_backoff_grows_to_its_cap_and_jitter_takes_at_most_half() -> None:
    backoff = Backoff()
    plain = [backoff.delay(n, 0.0).total_seconds() for n in (1, 2, 3, 9, 10, 1000)]
    jittered = backoff.delay(10, 0.999).total_seconds()

    assert plain == [1, 2, 4, 256, 300, 300]
    assert 150 <= jittered < 151
