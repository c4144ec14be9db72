"""The operator in the test's process; one simulator for all tests, an empty world for each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentex_simulator import SimulatorThread
from agentex_testkit.harness import Harness, SharedClock, simulating

MakeHarness = Callable[..., Harness]


@pytest.fixture(scope="session")
def remote() -> Iterator[tuple[SharedClock, SimulatorThread]]:
    with simulating() as shared:
        yield shared


@pytest.fixture
def make_harness(remote: tuple[SharedClock, SimulatorThread], tmp_path: Path) -> MakeHarness:
    """A harness whose operator does not run yet; a test says what setting is different."""
    clock, simulator = remote
    clock.timers.clear()
    simulator.reset()

    def make(**settings: Any) -> Harness:
        return Harness(clock, simulator, tmp_path / "work", **settings)

    return make


@pytest.fixture
async def bare(make_harness: MakeHarness) -> AsyncIterator[Harness]:
    """A running operator, and no account."""
    harness = make_harness()
    async with harness.running():
        yield harness


@pytest.fixture
async def harness(bare: Harness) -> Harness:
    """A running operator with the account `default`."""
    await bare.with_account()
    return bare
