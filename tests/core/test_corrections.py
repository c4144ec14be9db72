"""`onExternalChange: Correct`: the delays between corrections grow while they recur, and begin anew after peace."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.core_fixture import MANIFEST, CoreFixture, a_deployment, lose, script
from tests.core.test_deployment_decisions import healthy, live

from agentex_operator.core import calls
from agentex_operator.core.errors import Rejected
from agentex_operator.core.remote import RemoteState

BASE, LONGEST, PEACE = timedelta(seconds=60), timedelta(hours=1), timedelta(hours=2)


def delay(corrections: int) -> timedelta:
    """The documented delay after so many corrections in a row."""
    return min(BASE * 2 ** max(corrections - 1, 0), LONGEST)


def refuse(_call: object, _perform: object) -> Rejected:
    return Rejected("Agentex refused.", status=422)


def corrected() -> CoreFixture:
    return healthy(a_deployment(onExternalChange="Correct"))


def disturb(world: CoreFixture) -> timedelta:
    """Supersede the living deployment, wait for the next one, and return how long that took."""
    began, (there,) = world.now, live(world)
    world.becomes(there, "superseded", RemoteState.SUPERSEDED)
    for _ in range(200):
        again = world.run().look_again
        if live(world):
            break
        world.now += min(again or BASE, BASE)
    (new,) = live(world)
    world.becomes(new, "healthy", RemoteState.SUCCEEDED).run()
    return world.now - began


def test_each_correction_in_a_row_waits_twice_as_long_up_to_an_hour():
    world = corrected()

    waits = [disturb(world) for _ in range(9)]

    assert waits == [delay(n) for n in range(9)]
    assert (waits[0], waits[1], waits[2], waits[-1]) == (BASE, BASE, 2 * BASE, LONGEST)


@pytest.mark.exhaustive
@settings(deadline=None, max_examples=30)
@given(served=st.lists(st.integers(0, int(PEACE / BASE) - 1), min_size=1, max_size=12))
def test_the_delay_never_falls_while_somebody_disturbs(served: list[int]):
    world = corrected()
    for number, minutes in enumerate(served):
        world.now += minutes * BASE
        waited = disturb(world)

        assert waited == max(delay(min(number, 7)) - minutes * BASE, timedelta())


@pytest.mark.exhaustive
@settings(deadline=None, max_examples=20)
@given(disturbances=st.integers(1, 10), peace=st.integers(0, 600))
def test_after_peace_the_delays_begin_anew(disturbances: int, peace: int):
    world = corrected()
    for _ in range(disturbances):
        disturb(world)

    world.now += PEACE + peace * BASE

    assert [disturb(world) for _ in range(4)] == [timedelta(), delay(1), delay(2), delay(3)]


def test_another_generation_begins_anew():
    world = corrected()
    for _ in range(5):
        disturb(world)

    world.edit(progressDeadline="10m")

    assert [disturb(world) for _ in range(3)] == [delay(0), delay(1), delay(2)]


@pytest.mark.parametrize(("answer", "passes"), [(lose, 6), (refuse, 20)], ids=["lost", "refused"])
def test_a_correction_whose_answer_is_lost_or_a_refusal_counts_once(answer: Callable[..., object], passes: int):
    world = corrected()
    disturb(world)
    (there,) = live(world)
    world.becomes(there, "superseded", RemoteState.SUPERSEDED)
    world.now += delay(1)
    script(world, calls.CreateDeployment, answer)

    world.settle_down(passes)

    assert len(live(world)) == 1
    assert world.memory["corrections"] == {"count": 2, "generation": 1}


def test_another_configuration_is_no_correction():
    world = corrected()
    for _ in range(4):
        disturb(world)

    world.edit(manifest={"inline": MANIFEST.replace("Answers", "Other")}).settle_down(3)

    assert len(world.records) == 7
    assert world.memory["corrections"] == {"count": 4, "generation": 1}


def test_the_message_says_when_it_is_deployed_again_and_what_ends_the_loop():
    world = corrected()
    disturb(world)
    (there,) = live(world)
    world.becomes(there, "superseded", RemoteState.SUPERSEDED).run()

    message = world.status["conditions"][0]["message"]
    assert world.condition("Ready") == ("False", "ProgressingWithRetry")
    assert message == ("Somebody else replaced or deleted the deployment; it is deployed again at 2026-11-24T12:02:00Z."
                       " If that recurs, find the other writer, or set spec.onExternalChange to Report.")
    assert world.keeps_the_contract()


@pytest.mark.parametrize("count", [0, 17, 10**9])
def test_a_status_with_any_count_gives_a_delay_within_bounds(count: int):
    world = corrected()
    assert world.obj is not None
    world.memory["corrections"] = {"count": count, "generation": 1}

    assert disturb(world) in (BASE, LONGEST)
