"""The ready queue: the most urgent first, in order of arrival, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentex_operator.reconcile import urgency
from agentex_operator.reconcile.ready_queue import FAIR_SHARE, ReadyQueue
from agentex_operator.reconcile.urgency import ROUTINE_DELAY, Urgency
from agentex_operator.reconcile.views import view_of

NEWS, CHANGED, NEW, ROUTINE = Urgency


def filled(*added: tuple[str, Urgency]) -> ReadyQueue:
    """A queue to which these were added, one a second."""
    queue = ReadyQueue()
    for now, (uid, urgent) in enumerate(added):
        queue.add(uid, urgent, float(now))
    return queue


def taken(queue: ReadyQueue) -> list[str | None]:
    return [queue.take() for _ in range(len(queue))]


def test_the_most_urgent_comes_first_and_equals_in_the_order_of_their_arrival() -> None:
    queue = filled(("old", NEW), ("new", NEW), ("edited", CHANGED), ("ended", NEWS), ("resync", ROUTINE))

    assert taken(queue)[:3] == ["ended", "edited", "old"]


def test_what_waits_goes_ahead_when_it_becomes_more_urgent_and_is_handed_out_once() -> None:
    queue = filled(("a", NEW), ("b", ROUTINE), ("b", NEWS), ("b", NEW))

    assert taken(queue) == ["b", "a"]
    assert queue.take() is None


def test_what_was_discarded_is_not_handed_out_until_it_is_added_again() -> None:
    queue = filled(("a", NEW), ("b", NEW))
    queue.discard("a")

    assert taken(queue) == ["b"]
    queue.add("a", NEW, 3.0)
    assert queue.take() == "a"


async def test_it_is_filled_while_something_waits() -> None:
    queue = ReadyQueue()
    waiting = asyncio.create_task(queue.filled())
    await asyncio.sleep(0)
    queue.add("a", ROUTINE, 0.0)
    await waiting

    queue.discard("a")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.filled(), 0.01)


def test_the_one_that_has_waited_longest_comes_after_a_few_more_urgent_ones() -> None:
    queue = filled(("routine", ROUTINE))
    handed_out = []
    for number in range(FAIR_SHARE):
        queue.add(f"news-{number}", NEWS, 1.0 + number)
        handed_out.append(queue.take())

    assert handed_out == ["news-0", "news-1", "news-2", "routine"]


def test_the_longest_wait_counts_from_the_first_time_that_it_was_added() -> None:
    queue = filled(("a", NEW), ("b", NEW), ("a", NEWS))

    assert queue.longest_wait(5.0) == 5.0
    queue.take()
    assert queue.longest_wait(5.0) == 4.0
    queue.take()
    assert queue.longest_wait(5.0) == 0.0


UIDS = st.sampled_from("abcdef")
STEPS = st.lists(st.one_of(st.tuples(st.just("add"), UIDS, st.sampled_from(Urgency)),
                           st.tuples(st.just("discard"), UIDS, st.none()), st.tuples(st.just("get"))), max_size=80)


@given(STEPS)
def test_whatever_is_added_and_discarded_each_uid_is_handed_out_once_and_none_is_lost(steps: list[Any]) -> None:
    queue, waiting = ReadyQueue(), dict[str, Urgency]()
    for now, step in enumerate(steps):
        match step:
            case "add", uid, urgent:
                queue.add(uid, urgent, float(now))
                waiting[uid] = min(waiting.get(uid, urgent), urgent)
            case "discard", uid, None:
                queue.discard(uid)
                waiting.pop(uid, None)
            case _ if waiting:
                waiting.pop(str(queue.take()))
        assert len(queue) == len(waiting)
    assert set(taken(queue)) == set(waiting)


@given(st.lists(st.sampled_from(Urgency), min_size=1, max_size=30), st.integers(0, 20))
def test_nobody_waits_for_more_than_a_share_of_each_that_came_before(urgencies: list[Urgency], more: int) -> None:
    """News arrives faster than anything is handed out; each of the others comes out all the same."""
    queue = filled(*((f"old-{n}", urgent) for n, urgent in enumerate(urgencies)))
    handed_out = []
    for n in range(FAIR_SHARE * (len(urgencies) + 1)):
        queue.add(f"news-{n}", NEWS, 100.0 + n)
        queue.add(f"more-{n % (more + 1)}", NEWS, 100.0 + n)
        handed_out.append(queue.take())

    assert {f"old-{n}" for n in range(len(urgencies))} <= set(handed_out)


def conditions(**statuses: str) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": status} for kind, status in statuses.items()]}


@pytest.mark.parametrize(("event", "metadata", "status", "urgent"), [
    ("MODIFIED", {"deletionTimestamp": "2026-11-28T12:00:00Z"}, conditions(Ready="True"), NEWS),
    (None, {"deletionTimestamp": "2026-11-28T12:00:00Z"}, None, NEWS),
    ("ADDED", {}, None, NEW),
    (None, {}, {}, NEW),
    ("MODIFIED", {}, conditions(Ready="True"), CHANGED),
    (None, {}, conditions(Ready="True"), ROUTINE),
    (None, {}, conditions(Ready="False", Stalled="True"), ROUTINE),
    (None, {}, conditions(Ready="Unknown", Reconciling="True"), CHANGED),
    (None, {}, {"buildID": "b-1"}, CHANGED),
    (None, {}, {"conditions": "no list"}, CHANGED),
    (None, {}, {"conditions": [None, 3]}, CHANGED),
    (None, {}, "no object", CHANGED),
])
def test_the_urgency_of_an_event(event: str | None, metadata: dict[str, str], status: Any, urgent: Urgency) -> None:
    named = {"uid": "u1", "name": "a", "namespace": "team", "resourceVersion": "1", **metadata}
    view = view_of("Thing", {"metadata": named, "status": status})
    assert view is not None

    assert urgency.of_event(event, view) is urgent


def test_a_short_delay_is_a_step_of_work_in_progress() -> None:
    assert urgency.of_delay(ROUTINE_DELAY / 2) is CHANGED
    assert urgency.of_delay(ROUTINE_DELAY) is ROUTINE
