"""The engine: what wakes a pass, what does not, and what happens when passes fail."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from agentex_operator.reconcile.engine import Backoff, Engine, Outcome, View, is_newer
from agentex_testkit.clocks import HandClock, settle

SECOND = timedelta(seconds=1)


def an_object(uid: str = "u1", version: int | str = 1, name: str = "a", **metadata: Any) -> dict[str, Any]:
    named = {"uid": uid, "name": name, "namespace": "team", "resourceVersion": str(version), "generation": 1}
    return {"metadata": {**named, **metadata}, "spec": {"seen": version}}


@dataclass
class Passes:
    """A reconciler that writes down what it saw and answers as told."""

    outcome: Outcome | Exception = field(default_factory=Outcome)
    seen: list[View] = field(default_factory=list)
    running: int = 0
    most_at_once: int = 0
    gate: asyncio.Event | None = None

    async def __call__(self, view: View) -> Outcome:
        self.seen.append(view)
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            if self.gate:
                await self.gate.wait()
        finally:
            self.running -= 1
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    @property
    def versions(self) -> list[str]:
        return [view.resource_version for view in self.seen]


@dataclass
class Bench:
    """An engine with one kind, its clock and its passes."""

    engine: Engine
    clock: HandClock
    passes: Passes
    gone: list[View] = field(default_factory=list)

    async def observe(self, obj: Mapping[str, Any], event_type: str | None = "MODIFIED") -> None:
        self.engine.observe("Thing", event_type, obj)
        await settle()


def jitterless() -> float:
    return 0.0


@contextlib.asynccontextmanager
async def running(workers: int = 4) -> AsyncIterator[Bench]:
    clock = HandClock()
    bench = Bench(Engine(clock, workers, jitterless), clock, Passes())
    bench.engine.register("Thing", bench.passes, bench.gone.append)
    await bench.engine.start()
    yield bench
    await bench.engine.drain(SECOND)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with running() as bench:
        yield bench


async def test_an_event_causes_one_pass_with_the_object_without_its_managed_fields(bench: Bench) -> None:
    await bench.observe(an_object(managedFields=[{"manager": "kubectl"}]), None)

    [seen] = bench.passes.seen
    assert (seen.kind, seen.namespace, seen.name, seen.uid) == ("Thing", "team", "a", "u1")
    assert "managedFields" not in seen.obj["metadata"]


async def test_echoes_and_older_versions_cause_no_pass(bench: Bench) -> None:
    for version in (9, 9, 8, 10):
        await bench.observe(an_object(version=version))

    assert bench.passes.versions == ["9", "10"]


async def test_the_answer_to_our_own_write_is_what_the_next_pass_reads_and_wakes_nobody(bench: Bench) -> None:
    await bench.observe(an_object(version=1))
    bench.engine.learn("Thing", an_object(version=2))
    await bench.observe(an_object(version=2))
    assert bench.passes.versions == ["1"]

    bench.engine.wake("u1")
    await settle()

    assert bench.passes.versions == ["1", "2"]


async def test_an_answer_that_carries_somebody_elses_edit_wakes(bench: Bench) -> None:
    await bench.observe(an_object(version=1))

    bench.engine.learn("Thing", an_object(version=3, generation=2))
    await settle()

    assert bench.passes.versions == ["1", "3"]


async def test_the_answer_that_let_the_last_finalizer_go_forgets_the_object(bench: Bench) -> None:
    await bench.observe(an_object(version=1, deletionTimestamp="now", finalizers=["ours"]))

    bench.engine.learn("Thing", an_object(version=2, deletionTimestamp="now"))

    assert bench.engine.view("u1") is None
    assert [view.uid for view in bench.gone] == ["u1"]


async def test_an_answer_that_comes_after_the_object_has_gone_does_not_bring_it_back(bench: Bench) -> None:
    await bench.observe(an_object(version=1))
    await bench.observe(an_object(version=2), "DELETED")

    bench.engine.learn("Thing", an_object(version=3))

    assert bench.engine.view("u1") is None


async def test_a_deleted_object_is_forgotten_and_its_pass_in_flight_leaves_nothing(bench: Bench) -> None:
    bench.passes.gate = asyncio.Event()
    bench.passes.outcome = Outcome(requeue_after=SECOND)
    await bench.observe(an_object())
    await bench.observe(an_object(version=2), "DELETED")
    await bench.observe(an_object(version=2), "DELETED")
    bench.passes.gate.set()
    await bench.clock.advance(60)

    assert len(bench.passes.seen) == 1
    assert len(bench.gone) == 1
    assert bench.engine.stats.known == bench.clock.armed == 0


async def test_what_belonged_to_an_object_is_cleaned_up_once_its_pass_in_flight_has_ended(bench: Bench) -> None:
    """What that pass still follows, claims or opens would stay for ever."""
    bench.passes.gate = asyncio.Event()
    await bench.observe(an_object())
    await bench.observe(an_object(version=2), "DELETED")

    assert bench.engine.view("u1") is None
    assert bench.gone == []
    bench.passes.gate.set()
    await settle()
    assert [view.uid for view in bench.gone] == ["u1"]


async def test_a_pass_that_is_cut_off_at_the_end_is_cleaned_up_after_too(bench: Bench) -> None:
    bench.passes.gate = asyncio.Event()
    await bench.observe(an_object())
    await bench.observe(an_object(version=2), "DELETED")

    await bench.engine.drain(timedelta())

    assert [view.uid for view in bench.gone] == ["u1"]


async def test_a_new_uid_under_the_same_name_replaces_the_old_one(bench: Bench) -> None:
    await bench.observe(an_object("old", 1))
    await bench.observe(an_object("new", 2))
    await bench.observe(an_object("old", 1))  # late

    found = bench.engine.find("Thing", "team", "a")
    assert found is not None
    assert found.uid == "new"
    assert [view.uid for view in bench.gone] == ["old"]
    assert [view.uid for view in bench.engine.views("Thing")] == ["new"]


async def test_what_is_no_object_is_ignored(bench: Bench) -> None:
    for nonsense in ({}, {"metadata": None}, {"metadata": {"uid": "u"}}):
        await bench.observe(nonsense)

    assert bench.engine.stats.known == 0


async def test_events_during_a_pass_cause_exactly_one_more_with_the_newest_view(bench: Bench) -> None:
    bench.passes.gate = asyncio.Event()
    for version in (1, 2, 3, 4):
        await bench.observe(an_object(version=version))
    assert bench.passes.versions == ["1"]

    bench.passes.gate.set()
    await settle()

    assert bench.passes.versions == ["1", "4"]
    assert bench.passes.most_at_once == 1


async def test_our_own_write_seen_before_its_answer_causes_no_other_pass(bench: Bench) -> None:
    bench.passes.gate = asyncio.Event()
    await bench.observe(an_object(version=1))
    await bench.observe(an_object(version=2))
    bench.engine.learn("Thing", an_object(version=2))

    bench.passes.gate.set()
    await settle()

    assert bench.passes.versions == ["1"]


async def test_somebody_elses_write_seen_beside_our_own_causes_one(bench: Bench) -> None:
    bench.passes.gate = asyncio.Event()
    for version in (1, 2, 3):
        await bench.observe(an_object(version=version))
    bench.engine.learn("Thing", an_object(version=2))

    bench.passes.gate.set()
    await settle()

    assert bench.passes.versions == ["1", "3"]


async def test_of_several_due_times_the_earliest_wins_and_the_pass_uses_up_the_others(bench: Bench) -> None:
    await bench.observe(an_object())
    for seconds in (30, 10, 20):
        bench.engine.wake_after("u1", timedelta(seconds=seconds))

    await bench.clock.advance(9.9)
    assert len(bench.passes.seen) == 1
    await bench.clock.advance(0.2)
    assert len(bench.passes.seen) == 2
    await bench.clock.advance(60)
    assert len(bench.passes.seen) == 2


async def test_a_pass_before_its_due_time_makes_that_time_moot(bench: Bench) -> None:
    await bench.observe(an_object())
    bench.engine.wake_after("u1", timedelta(seconds=30))
    await bench.clock.advance(5)
    bench.engine.wake("u1")
    await bench.clock.advance(60)

    assert len(bench.passes.seen) == 2
    assert bench.engine.stats.wishes == bench.clock.armed == 0


async def test_overtaken_due_times_do_not_pile_up(bench: Bench) -> None:
    await bench.observe(an_object("quiet", name="quiet"))
    bench.engine.wake_after("quiet", timedelta(minutes=1))
    bench.passes.outcome = Outcome(requeue_after=timedelta(hours=1))
    for version in range(1, 500):
        await bench.observe(an_object(version=version))

    assert bench.engine.stats.wishes < 100
    assert bench.clock.armed == 1


async def test_what_goes_while_it_waits_for_a_worker_gets_no_pass() -> None:
    async with running(workers=1) as bench:
        bench.passes.gate = asyncio.Event()
        await bench.observe(an_object("u1", name="a"))
        await bench.observe(an_object("u2", name="b"))
        await bench.observe(an_object("u2", 2, name="b"), "DELETED")
        bench.passes.gate.set()
        await settle()

        assert [view.uid for view in bench.passes.seen] == ["u1"]


async def test_a_pass_is_repeated_when_it_asked_to_be(bench: Bench) -> None:
    bench.passes.outcome = Outcome(requeue_after=timedelta(seconds=10))
    await bench.observe(an_object())

    await bench.clock.advance(35)

    assert len(bench.passes.seen) == 4


@pytest.mark.parametrize("outcome", [Outcome(failed=True), ValueError("a bug")])
async def test_failures_back_off_exponentially(bench: Bench, outcome: Outcome | Exception) -> None:
    bench.passes.outcome = outcome
    await bench.observe(an_object())
    for count, seconds in enumerate((1, 2, 4, 8), start=1):
        assert len(bench.passes.seen) == count
        await bench.clock.advance(seconds)

    assert bench.engine.failures("u1") == 5


async def test_tries_that_somebody_woke_early_do_not_make_the_wait_longer(bench: Bench) -> None:
    bench.passes.outcome = Outcome(failed=True)
    await bench.observe(an_object())
    for _ in range(10):
        await bench.clock.advance(0.1)
        bench.engine.wake("u1")
        await settle()

    assert bench.engine.failures("u1") == 1
    await bench.clock.advance(1)
    assert len(bench.passes.seen) == 12


async def test_success_resets_the_backoff(bench: Bench) -> None:
    bench.passes.outcome = Outcome(failed=True)
    await bench.observe(an_object())
    await bench.clock.advance(3)
    bench.passes.outcome = Outcome()
    bench.engine.wake("u1")
    await settle()

    assert bench.engine.failures("u1") == 0


async def test_a_failure_waits_at_least_as_long_as_it_was_asked_to(bench: Bench) -> None:
    bench.passes.outcome = Outcome(requeue_after=timedelta(seconds=40), failed=True)
    await bench.observe(an_object())

    await bench.clock.advance(39)
    assert len(bench.passes.seen) == 1
    await bench.clock.advance(1)
    assert len(bench.passes.seen) == 2


async def test_a_bug_is_counted_and_logged_once_with_its_trace(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.passes.outcome = ValueError("a bug")
    await bench.observe(an_object())

    assert bench.engine.bugs == 1
    [record] = caplog.records
    assert record.exc_info


async def test_a_cancellation_from_inside_does_not_cost_a_worker() -> None:
    async with running(workers=1) as bench:
        bench.passes.outcome = asyncio.CancelledError()  # type: ignore[assignment]
        bench.engine.register("Thing", _cancelled_within)
        await bench.observe(an_object())
        bench.engine.register("Thing", bench.passes)
        bench.passes.outcome = Outcome()
        await bench.observe(an_object("u2", name="b"))

        assert [view.uid for view in bench.passes.seen] == ["u2"]
        assert bench.engine.bugs == 1


async def _cancelled_within(_: View) -> Outcome:
    raise asyncio.CancelledError


async def test_workers_are_bounded_and_serve_first_come_first() -> None:
    async with running(workers=3) as bench:
        bench.passes.gate = asyncio.Event()
        for n in range(20):
            await bench.observe(an_object(f"u{n}", name=f"n{n}"))
        assert (bench.engine.stats.in_flight, bench.engine.stats.depth) == (3, 17)

        bench.passes.gate.set()
        await settle()

        assert [view.uid for view in bench.passes.seen] == [f"u{n}" for n in range(20)]
        assert bench.passes.most_at_once == 3


async def test_one_that_always_fails_does_not_starve_the_others() -> None:
    async with running(workers=1) as bench:
        bench.passes.outcome = Outcome(failed=True)
        await bench.observe(an_object("bad", name="bad"))
        bench.passes.outcome = Outcome()
        bench.engine.register("Thing", _fails_if_bad(bench.passes))
        for n in range(50):
            await bench.observe(an_object(f"u{n}", name=f"n{n}"))
        await bench.clock.advance(600)

        assert len({view.uid for view in bench.passes.seen}) == 51
        assert bench.engine.failures("bad") < 15


def _fails_if_bad(passes: Passes) -> Any:
    async def reconcile(view: View) -> Outcome:
        await passes(view)
        return Outcome(failed=view.uid == "bad")

    return reconcile


async def test_dependants_hear_of_every_change_our_own_writes_included(bench: Bench) -> None:
    heard: list[tuple[str | None, str | None]] = []
    bench.engine.subscribe("Thing", lambda old, new: heard.append((_version(old), _version(new))))
    await bench.observe(an_object(version=1))
    bench.engine.learn("Thing", an_object(version=2))
    await bench.observe(an_object(version=2))
    await bench.observe(an_object(version=3), "DELETED")

    assert heard == [(None, "1"), ("1", "2"), ("2", None)]


def _version(view: View | None) -> str | None:
    return view.resource_version if view else None


async def test_a_listener_that_raises_costs_nobody_their_event(bench: Bench) -> None:
    bench.engine.subscribe("Thing", lambda old, new: 1 / 0)
    await bench.observe(an_object())

    assert len(bench.passes.seen) == 1
    assert bench.engine.bugs == 1


async def test_idle_objects_cost_one_timer_and_no_task() -> None:
    async with running() as bench:
        bench.passes.outcome = Outcome(requeue_after=timedelta(minutes=5))
        before = len(asyncio.all_tasks())
        for n in range(10_000):
            bench.engine.observe("Thing", None, an_object(f"u{n}", name=f"n{n}"))
        while bench.engine.stats.depth:
            await settle()

        assert len(asyncio.all_tasks()) == before
        assert bench.clock.armed == 1


async def test_drain_waits_for_the_pass_in_flight_and_starts_no_other(bench: Bench) -> None:
    bench.passes.gate = asyncio.Event()
    await bench.observe(an_object())
    draining = asyncio.create_task(bench.engine.drain(10 * SECOND))
    await settle()
    await bench.observe(an_object("u2", name="b"))
    bench.passes.gate.set()
    await draining

    assert [view.uid for view in bench.passes.seen] == ["u1"]
    assert bench.engine.stats.in_flight == bench.clock.armed == 0


async def test_drain_cuts_off_what_takes_too_long(bench: Bench) -> None:
    bench.passes.gate = asyncio.Event()
    await bench.observe(an_object())

    await bench.engine.drain(timedelta(milliseconds=20))

    assert bench.passes.running == 0


async def test_what_came_before_the_start_is_worked_on_at_the_start() -> None:
    engine, passes = Engine(HandClock(), 1, jitterless), Passes()
    engine.register("Thing", passes)
    engine.observe("Thing", None, an_object())

    await engine.start()
    await settle()
    await engine.drain(SECOND)

    assert len(passes.seen) == 1


@pytest.mark.parametrize(
    ("version", "than", "newer"),
    [("10", "9", True), ("9", "10", False), ("9", "9", False), ("b", "a", True), ("a", "a", False), ("1", "", True)],
)
def test_versions_compare_as_numbers_else_by_difference(version: str, than: str, newer: bool) -> None:
    assert is_newer(version, than) is newer


def test_backoff_grows_to_its_cap_and_jitter_takes_at_most_half() -> None:
    backoff = Backoff()
    plain = [backoff.delay(n, 0.0).total_seconds() for n in (1, 2, 3, 9, 10, 1000)]
    jittered = backoff.delay(10, 0.999).total_seconds()

    assert plain == [1, 2, 4, 256, 300, 300]
    assert 150 <= jittered < 151
