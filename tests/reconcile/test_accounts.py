"""The entries of accounts: who is woken when an account goes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.reconcile.engines import SECOND, Passes, jitterless

from agentex_operator.api.account import AccountSpec
from agentex_operator.api.schema import adapter
from agentex_operator.reconcile.accounts import Accounts
from agentex_operator.reconcile.engine import Engine
from agentex_operator.reconcile.references import build_references
from agentex_operator.reconcile.views import View
from agentex_testkit.clocks import HandClock, run_ready_tasks
from agentex_testkit.fake_cluster.cluster import FakeCluster

BOUND = {"kind": "AgentexAccount", "name": "default", "accountID": "acct-1", "endpoint": "https://api.example"}
SPEC = adapter(AccountSpec).validate_python({"endpoint": "https://api.example", "accountID": "acct-1",
                                             "apiKeySecretRef": {"name": "agentex", "key": "api-key"}})


def an_object(name: str, uid: str, version: int = 1, **members: Any) -> dict[str, Any]:
    return {"metadata": {"uid": uid, "name": name, "namespace": "team", "resourceVersion": str(version),
                         "generation": 1}, **members}


class Setup:
    """An engine with one build that is bound to `default`; the passes of accounts make an entry only where told."""

    def __init__(self) -> None:
        clock = HandClock()
        self.engine = Engine(clock, 4, jitterless)
        self.accounts, self.builds = Accounts(self.engine, FakeCluster(clock)), Passes()
        self.engine.register("AgentexAccount", Passes(), self.accounts.leave)
        self.engine.register("AgentBuild", self.builds, self.accounts.forget, build_references)

    async def observe(self, kind: str, event: str | None, obj: dict[str, Any]) -> View | None:
        self.engine.observe(kind, event, obj)
        await run_ready_tasks()
        return self.engine.find(kind, "team", obj["metadata"]["name"])


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Setup]:
    setup = Setup()
    await setup.engine.start()
    yield setup
    await setup.engine.drain(SECOND)


@pytest.mark.parametrize("has_entry", [True, False], ids=["after its first pass", "before its first pass"])
async def test_resources_of_an_account_are_woken_when_it_goes(has_entry: bool) -> None:
    async with running() as setup:
        view = await setup.observe("AgentexAccount", None, an_object("default", "a1"))
        assert view is not None
        if has_entry:
            setup.accounts.entry(view, SPEC, "team")
        await setup.observe("AgentBuild", None, an_object("quote", "b1", status={"account": BOUND}))
        before = len(setup.builds.seen)

        await setup.observe("AgentexAccount", "DELETED", an_object("default", "a1", 2))

        assert len(setup.builds.seen) == before + 1


async def test_resources_are_not_woken_when_an_account_goes_whose_successor_is_there() -> None:
    async with running() as setup:
        view = await setup.observe("AgentexAccount", None, an_object("default", "a1"))
        await setup.observe("AgentBuild", None, an_object("quote", "b1", status={"account": BOUND}))
        successor = await setup.observe("AgentexAccount", "ADDED", an_object("default", "a2", 2))
        assert view is not None
        assert successor is not None
        setup.accounts.entry(successor, SPEC, "team")
        before = len(setup.builds.seen)

        setup.accounts.leave(view)
        await run_ready_tasks()

        assert len(setup.builds.seen) == before
