"""Account, Secret, resources and namespace are deleted in any order, with restarts: everything goes, or says how."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentex_operator.kube.kinds import NAMESPACE, SECRET
from agentex_simulator import SimulatorThread
from agentex_testkit.api_server import Object, condition
from agentex_testkit.builders import a_deployment, an_image
from agentex_testkit.fake_cluster.answers import ApiError
from agentex_testkit.harness import TEAM, Harness, SharedClock

ACCOUNT, BUILD, DEPLOYMENT = ("AgentexAccount", "default"), ("AgentBuild", "quote"), ("AgentDeployment", "quote")
OURS = (ACCOUNT, BUILD, DEPLOYMENT)
DELETIONS: Final = ("account", "secret", "build", "deployment")
ORDERS = st.tuples(
    st.one_of(st.permutations(DELETIONS), st.permutations([one for one in DELETIONS if one != "secret"])),
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from(
        ["restart", "outage", "namespace", "pause", "account is taken away"])), max_size=4),
)
COMMAND = re.compile(r"kubectl patch agent(build|deployment)/(\S+) --namespace=team --type=merge --patch='(.*?)'(?=\.)")
LOSES_THE_ACCOUNT: Final = frozenset({"secret", "namespace", "account is taken away"})
TEN_MINUTES = 600


@pytest.mark.exhaustive
@given(ORDERS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow,
                                                                 HealthCheck.function_scoped_fixture])
def test_whatever_is_deleted_in_whatever_order_goes_or_names_a_step_that_ends_it(
    remote: tuple[SharedClock, SimulatorThread], tmp_path: Path, order: tuple[list[str], list[tuple[int, str]]]
) -> None:
    asyncio.run(live_through(remote, tmp_path, list(steps_of(*order))))


def steps_of(deletions: list[str], beside: list[tuple[int, str]]) -> Iterator[str]:
    for at in range(len(deletions) + 1):
        yield from (what for where, what in beside if where == at)
        yield from deletions[at:at + 1]


async def live_through(remote: tuple[SharedClock, SimulatorThread], tmp_path: Path, steps: list[str]) -> None:
    clock, simulator = remote
    clock.timers.clear()
    simulator.reset()
    history = History(Harness(clock, simulator, tmp_path / "work"))
    async with history.harness.running():
        await history.start()
    for process in split_at_restarts(steps):
        async with history.harness.running():
            for step in process:
                history.do(step)
                await history.harness.settled()
            await history.harness.advance(1)
    async with history.harness.running():
        simulator.clear_faults()
        await history.harness.advance(TEN_MINUTES)
        if LOSES_THE_ACCOUNT.isdisjoint(steps):
            assert history.remaining() == [], "account and Secret were there to the end"
        await history.end()


def split_at_restarts(steps: list[str]) -> Iterator[list[str]]:
    process: list[str] = []
    for step in steps:
        if step == "restart":
            yield process
            process = []
        else:
            process.append(step)
    yield process


class History:
    """One order of deletions, and what must be true where it ends."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.owners: tuple[str, ...] = ()
        self.left: set[str] = set()  # ids of remote objects that a message said would stay

    async def start(self) -> None:
        await self.harness.with_account()
        self.harness.apply(an_image(), a_deployment())
        await self.harness.wait(*DEPLOYMENT)
        self.owners = tuple(self.harness.owner(*one) for one in (BUILD, DEPLOYMENT))

    def do(self, step: str) -> None:
        harness = self.harness
        with contextlib.suppress(ApiError):  # it is gone already
            match step:
                case "account":
                    harness.delete(*ACCOUNT)
                case "account is taken away":
                    harness.take_away(*ACCOUNT)
                case "secret":
                    harness.cluster.remove(SECRET, TEAM, "agentex")
                case "build":
                    harness.delete(*BUILD)
                case "deployment":
                    harness.delete(*DEPLOYMENT)
                case "namespace":
                    harness.cluster.terminate(TEAM)
                case "outage":
                    harness.simulator.fault("outage", match={"method": "DELETE"}, forever=True)
                case _:
                    pass

    def remaining(self) -> list[tuple[str, str]]:
        """What is still in the cluster."""
        return [one for one in OURS if self.harness.get(*one) is not None]

    async def end(self) -> None:
        """Take the steps that the messages name; then everything is gone, and only what they named lives."""
        for one in (DEPLOYMENT, BUILD):
            found = self.harness.get(*one)
            if found is not None:
                self.take_the_step(one, found)
        await self.harness.advance(TEN_MINUTES)

        assert self.remaining() == []
        living = {one["id"] for owner in self.owners for one in self.harness.living(owner)}
        assert living <= self.left

    def take_the_step(self, one: tuple[str, str], found: Object) -> None:
        message = condition(found, "Ready")["message"]
        terminating = "deletionTimestamp" in (self.harness.cluster.read(NAMESPACE, None, TEAM) or {})["metadata"]
        assert not (terminating and re.search(r"\b[Cc]reate\b", message)), message
        named = COMMAND.search(message)
        assert named, f"{one} waits and names no step: {message}"
        (patch,) = shlex.split(f"'{named[3]}'")
        assert patch == '{"spec": {"deletionPolicy": "Orphan"}}'
        self.left |= set(re.findall(r"remote (?:build|deployment) (\S+)", message))
        self.harness.edit(*one, spec={"deletionPolicy": "Orphan"})
