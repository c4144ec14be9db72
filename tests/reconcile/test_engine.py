"""The engine: which events and responses cause a pass, which do not, and who is told when an object has gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests.reconcile.engines import SECOND, EngineSetup, an_object, running

from agentex_operator.reconcile.views import View
from agentex_operator.reconcile.work_queue import Outcome
from agentex_testkit.clocks import run_ready_tasks


@pytest.fixture
async def setup() -> AsyncIterator[EngineSetup]:
    async with running() as setup:
        yield setup


async def test_an_event_causes_one_pass_with_the_object_without_its_managed_fields(setup: EngineSetup) -> None:
    await setup.observe(an_object(managedFields=[{"manager": "kubectl"}]), None)

    [seen] = setup.passes.seen
    assert (seen.kind, seen.namespace, seen.name, seen.uid) == ("Thing", "team", "a", "u1")
    assert "managedFields" not in seen.obj["metadata"]


async def test_echoes_and_older_versions_cause_no_pass(setup: EngineSetup) -> None:
    for version in (9, 9, 8, 10):
        await setup.observe(an_object(version=version))

    assert setup.passes.versions == ["9", "10"]


async def test_the_response_to_our_own_write_is_what_the_next_pass_reads_and_wakes_nobody(setup: EngineSetup) -> None:
    await setup.observe(an_object(version=1))
    setup.engine.learn("Thing", an_object(version=2))
    await setup.observe(an_object(version=2))
    assert setup.passes.versions == ["1"]

    setup.engine.wake("u1")
    await run_ready_tasks()

    assert setup.passes.versions == ["1", "2"]


async def test_a_response_that_shows_somebody_elses_edit_wakes(setup: EngineSetup) -> None:
    await setup.observe(an_object(version=1))

    setup.engine.learn("Thing", an_object(version=3, generation=2))
    await run_ready_tasks()

    assert setup.passes.versions == ["1", "3"]


async def test_the_response_to_the_removal_of_the_last_finalizer_forgets_the_object(setup: EngineSetup) -> None:
    await setup.observe(an_object(version=1, deletionTimestamp="now", finalizers=["ours"]))

    setup.engine.learn("Thing", an_object(version=2, deletionTimestamp="now"))

    assert setup.engine.view("u1") is None
    assert [view.uid for view in setup.gone] == ["u1"]


async def test_a_response_that_comes_after_the_object_has_gone_does_not_bring_it_back(setup: EngineSetup) -> None:
    await setup.observe(an_object(version=1))
    await setup.observe(an_object(version=2), "DELETED")

    setup.engine.learn("Thing", an_object(version=3))

    assert setup.engine.view("u1") is None


async def test_a_deleted_object_is_forgotten_and_its_pass_in_flight_leaves_nothing(setup: EngineSetup) -> None:
    setup.passes.gate = asyncio.Event()
    setup.passes.outcome = Outcome(requeue_after=SECOND)
    await setup.observe(an_object())
    await setup.observe(an_object(version=2), "DELETED")
    await setup.observe(an_object(version=2), "DELETED")
    setup.passes.gate.set()
    await setup.clock.advance(60)

    assert len(setup.passes.seen) == 1
    assert len(setup.gone) == 1
    assert setup.engine.stats.known == setup.clock.armed == 0


async def test_gone_is_called_only_after_the_pass_in_flight_of_a_removed_object_has_ended(setup: EngineSetup) -> None:
    """What that pass still follows, claims or opens would stay for ever."""
    setup.passes.gate = asyncio.Event()
    await setup.observe(an_object())
    await setup.observe(an_object(version=2), "DELETED")

    assert setup.engine.view("u1") is None
    assert setup.gone == []
    setup.passes.gate.set()
    await run_ready_tasks()
    assert [view.uid for view in setup.gone] == ["u1"]


async def test_an_object_that_changed_and_was_removed_during_its_pass_has_no_other_pass_and_stops_no_worker() -> None:
    async with running(workers=1) as setup:
        setup.passes.gate = asyncio.Event()
        await setup.observe(an_object("u1", 1, "a"))
        await setup.observe(an_object("u1", 2, "a"))
        await setup.observe(an_object("u1", 3, "a"), "DELETED")
        setup.passes.gate.set()
        await run_ready_tasks()
        await setup.observe(an_object("u2", 4, "b"))

        assert setup.passes.ended == ["u1", "u2"]


async def test_gone_is_called_for_a_removed_object_whose_pass_is_cut_off_by_drain(setup: EngineSetup) -> None:
    setup.passes.gate = asyncio.Event()
    await setup.observe(an_object())
    await setup.observe(an_object(version=2), "DELETED")

    await setup.engine.drain(timedelta())

    assert [view.uid for view in setup.gone] == ["u1"]


async def test_an_object_seen_again_during_the_pass_in_which_it_was_forgotten_waits_for_the_end_of_that_pass(
        setup: EngineSetup) -> None:
    setup.passes.gate = asyncio.Event()
    await setup.observe(an_object(version=1))
    setup.engine.forget("u1")
    await setup.observe(an_object(version=2))
    assert setup.passes.versions == ["1"]

    setup.passes.gate.set()
    await run_ready_tasks()

    assert setup.passes.versions == ["1", "2"]
    assert setup.passes.most_at_once == 1


async def test_a_new_uid_under_the_same_name_replaces_the_old_one(setup: EngineSetup) -> None:
    await setup.observe(an_object("old", 1))
    await setup.observe(an_object("new", 2))
    await setup.observe(an_object("old", 1))  # late

    found = setup.engine.find("Thing", "team", "a")
    assert found is not None
    assert found.uid == "new"
    assert [view.uid for view in setup.gone] == ["old"]
    assert [view.uid for view in setup.engine.views("Thing")] == ["new"]


async def test_an_object_without_uid_or_name_is_ignored(setup: EngineSetup) -> None:
    for nonsense in ({}, {"metadata": None}, {"metadata": {"uid": "u"}}):
        await setup.observe(nonsense)

    assert setup.engine.stats.known == 0


async def test_events_during_a_pass_cause_exactly_one_more_with_the_newest_view(setup: EngineSetup) -> None:
    setup.passes.gate = asyncio.Event()
    for version in (1, 2, 3, 4):
        await setup.observe(an_object(version=version))
    assert setup.passes.versions == ["1"]

    setup.passes.gate.set()
    await run_ready_tasks()

    assert setup.passes.versions == ["1", "4"]
    assert setup.passes.most_at_once == 1


async def test_our_own_write_seen_before_its_response_causes_no_other_pass(setup: EngineSetup) -> None:
    setup.passes.gate = asyncio.Event()
    await setup.observe(an_object(version=1))
    await setup.observe(an_object(version=2))
    setup.engine.learn("Thing", an_object(version=2))

    setup.passes.gate.set()
    await run_ready_tasks()

    assert setup.passes.versions == ["1"]


async def test_somebody_elses_write_seen_beside_our_own_causes_another_pass(setup: EngineSetup) -> None:
    setup.passes.gate = asyncio.Event()
    for version in (1, 2, 3):
        await setup.observe(an_object(version=version))
    setup.engine.learn("Thing", an_object(version=2))

    setup.passes.gate.set()
    await run_ready_tasks()

    assert setup.passes.versions == ["1", "3"]


async def test_subscribers_are_told_of_every_change_our_own_writes_included(setup: EngineSetup) -> None:
    heard: list[tuple[str | None, str | None]] = []
    setup.engine.subscribe("Thing", lambda old, new: heard.append((_version(old), _version(new))))
    await setup.observe(an_object(version=1))
    setup.engine.learn("Thing", an_object(version=2))
    await setup.observe(an_object(version=2))
    await setup.observe(an_object(version=3), "DELETED")

    assert heard == [(None, "1"), ("1", "2"), ("2", None)]


def _version(view: View | None) -> str | None:
    return view.resource_version if view else None


async def test_a_subscriber_that_raises_prevents_no_pass(setup: EngineSetup) -> None:
    def fail(_old: View | None, _new: View | None) -> None:
        raise ZeroDivisionError

    setup.engine.subscribe("Thing", fail)
    await setup.observe(an_object())

    assert len(setup.passes.seen) == 1
    assert setup.engine.bugs == 1
