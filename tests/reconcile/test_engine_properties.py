"""Whatever is observed, learnt, woken, deleted and failed in whatever order: the engine's promises hold."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentex_operator.reconcile.engine import Engine
from agentex_operator.reconcile.views import View
from agentex_operator.reconcile.work_queue import Outcome
from agentex_testkit.clocks import HandClock, run_ready_tasks

UIDS = ("a", "b", "c")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["observe", "learn", "wake", "later", "delete", "advance", "run"]),
        st.sampled_from(UIDS),
        st.integers(1, 12),
    ),
    max_size=60,
)


class History:
    """An engine driven by random steps, and what must be true of it all along."""

    def __init__(self, workers: int) -> None:
        self.clock = HandClock()
        self.engine = Engine(self.clock, workers, lambda: 0.5)
        self.engine.register("Thing", self.reconcile)
        self.workers = workers
        self.running: Counter[str] = Counter()
        self.newest: dict[str, int] = {}
        self.passed: dict[str, int] = {}

    async def reconcile(self, view: View) -> Outcome:
        self.running[view.uid] += 1
        assert self.running[view.uid] == 1, "one pass in flight per uid"
        assert self.running.total() <= self.workers, "bounded workers"
        assert int(view.resource_version) == self.newest[view.uid], "a pass starts from the newest view"
        self.passed[view.uid] = int(view.resource_version)
        await self.clock.sleep(0.7)
        self.running[view.uid] -= 1
        return Outcome(failed=int(view.resource_version) % 3 == 0)

    async def step(self, what: str, uid: str, number: int) -> None:
        obj = {"metadata": {"uid": uid, "name": uid, "resourceVersion": str(number)}}
        if what == "observe":
            self.newest[uid] = max(self.newest.get(uid, 0), number)
            self.engine.observe("Thing", "MODIFIED", obj)
        elif what == "learn" and uid in self.newest:
            self.newest[uid] = max(self.newest[uid], number)
            self.engine.learn("Thing", obj)
        elif what == "delete":
            self.newest.pop(uid, None)
            self.passed.pop(uid, None)
            self.engine.observe("Thing", "DELETED", obj)
            await self.clock.advance(1)  # kopf never reuses a uid; let its last pass end before we do
        else:
            await self.time_or_wish(what, uid, number)

    async def time_or_wish(self, what: str, uid: str, number: int) -> None:
        if what == "wake":
            self.engine.wake(uid)
        elif what == "later":
            self.engine.wake_after(uid, timedelta(seconds=number))
        elif what == "advance":
            await self.clock.advance(number / 3)
        else:
            await run_ready_tasks()


async def live_through(steps: list[tuple[str, str, int]], workers: int) -> None:
    history = History(workers)
    await history.engine.start()
    for step in steps:
        await history.step(*step)
    for uid in history.newest:
        history.engine.wake(uid)
    await history.clock.advance(30)

    assert {view.uid for view in history.engine.views("Thing")} == set(history.newest)
    assert history.passed == history.newest, "what was seen last was worked on"
    await history.engine.drain(timedelta(milliseconds=1))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.integers(1, 3))
def test_the_promises_hold_in_every_history(steps: list[tuple[str, str, int]], workers: int) -> None:
    asyncio.run(live_through(steps, workers))
