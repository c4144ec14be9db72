"""Priming: every object is observed before the first pass, page by page, also if a list expires before its end."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentex_operator import bootstrap
from agentex_operator.core.errors import Rejected, Unavailable
from agentex_operator.kube import cluster as kube_cluster
from agentex_operator.kube.api import JSON
from agentex_operator.kube.kinds import AGENT_BUILD, NAMESPACE
from agentex_operator.reconcile.engine import Engine
from agentex_operator.settings import Settings
from agentex_testkit import builders
from agentex_testkit.clocks import HandClock
from agentex_testkit.fake_cluster.api import FakeApi
from agentex_testkit.fake_cluster.cluster import FakeCluster
from agentex_testkit.fake_cluster.faults import Fault

TEAM = "team"
CHUNK = 2  # objects of a page
BUILDS = 9


class Mark:
    """A value in the managedFields of a raw object: it is alive as long as they are."""


@dataclass
class Expiry:
    """One attempt to list: `pages` are served, then the list has expired; `change` comes just before."""

    pages: int
    change: Callable[[], object] = lambda: None


class ExpiringApi(FakeApi):
    """Lists as told by `expiries`, then whole. Marks the listed objects, and counts how many were held at most."""

    def __init__(self, cluster: FakeCluster, expiries: Iterable[Expiry] = ()) -> None:
        super().__init__(cluster.store, cluster.watch, cluster.streams)
        self._expiries, self._served = deque(expiries), 0
        self.marks: weakref.WeakSet[Mark] = weakref.WeakSet()
        self.most = 0

    async def get(self, path: str, accept: str = JSON) -> dict[str, Any] | None:
        self._served = self._served + 1 if parse_qs(path).get("continue") else 0
        if self._expiries and 0 < self._served == self._expiries[0].pages:
            self._expiries.popleft().change()
            raise Rejected("the provided continue parameter is too old", status=410)
        answer = await super().get(path, accept)
        for item in (answer or {}).get("items", ()):
            item["metadata"]["managedFields"] = [mark := Mark()]
            self.marks.add(mark)
        self.most = max(self.most, len(self.marks))
        return answer


class Primed:
    """A cluster with some AgentBuilds, and an engine that they are observed by."""

    def __init__(self) -> None:
        self.cluster = FakeCluster(HandClock())
        self.engine = Engine(HandClock(), 1, lambda: 0.0)
        self.cluster.create({"apiVersion": "v1", "kind": NAMESPACE.kind, "metadata": {"name": TEAM}})
        for number in range(BUILDS):
            self.create(number)

    def create(self, number: int) -> None:
        self.cluster.create(builders.an_image(f"image-{number}"), TEAM)

    def has(self, number: int) -> bool:
        return self.cluster.read(AGENT_BUILD, TEAM, f"image-{number}") is not None

    def remove(self, number: int) -> None:
        self.cluster.remove(AGENT_BUILD, TEAM, f"image-{number}")

    def edit(self, number: int) -> None:
        labels = {"edited": str(self.cluster.store.version)}
        self.cluster.edit(AGENT_BUILD, TEAM, f"image-{number}", metadata={"labels": labels})

    async def prime(self, *expiries: Expiry) -> ExpiringApi:
        self.cluster.api = api = ExpiringApi(self.cluster, expiries)
        await bootstrap.prime(self.engine, self.cluster, Settings(), (AGENT_BUILD,))
        return api

    @property
    def stored(self) -> set[tuple[str, str]]:
        """The uids and versions in the cluster."""
        return {(one["metadata"]["uid"], one["metadata"]["resourceVersion"])
                for one in self.cluster.store.list(AGENT_BUILD, TEAM)}

    @property
    def known(self) -> set[tuple[str, str]]:
        """The uids and versions in the cache."""
        return {(view.uid, view.resource_version) for view in self.engine.views(AGENT_BUILD.kind)}


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube_cluster, "CHUNK", CHUNK)


@pytest.fixture
def primed() -> Primed:
    return Primed()


async def test_each_page_is_observed_before_the_next_one_is_read(primed: Primed) -> None:
    known: list[int] = []
    note = Fault("list", AGENT_BUILD, act=lambda: known.append(primed.engine.stats.known), times=float("inf"))
    primed.cluster.fake_api.faults.add(note)

    await bootstrap.prime(primed.engine, primed.cluster, Settings(), (AGENT_BUILD,))

    assert known == [0, 2, 4, 6, 8]
    assert primed.known == primed.stored


async def test_no_more_than_two_pages_of_raw_objects_are_held(primed: Primed) -> None:
    api = await primed.prime()

    assert CHUNK <= api.most <= 2 * CHUNK
    assert not api.marks


async def test_a_list_that_expires_begins_anew(primed: Primed) -> None:
    await primed.prime(Expiry(2, lambda: primed.remove(0)))

    assert len(primed.known) == BUILDS - 1
    assert primed.known == primed.stored


async def test_a_list_that_always_expires_is_an_error(primed: Primed) -> None:
    with pytest.raises(Unavailable, match="expired"):
        await primed.prime(*[Expiry(1)] * (kube_cluster.MOST_RESTARTS + 1))


async def test_the_first_page_of_a_list_cannot_expire(primed: Primed) -> None:
    error = Rejected("too old resource version", status=410)
    primed.cluster.fake_api.faults.add(Fault("list", AGENT_BUILD, error=error))

    with pytest.raises(Rejected):
        await bootstrap.prime(primed.engine, primed.cluster, Settings(), (AGENT_BUILD,))


CHANGES = st.lists(st.tuples(st.sampled_from(["create", "remove", "edit"]), st.integers(0, 14)), max_size=4)
EXPIRIES = st.lists(st.tuples(st.integers(1, 4), CHANGES), max_size=kube_cluster.MOST_RESTARTS)


@hypothesis.settings(deadline=None, max_examples=50)
@given(EXPIRIES)
async def test_what_changes_while_a_list_expires_is_neither_lost_nor_kept(
        expiries: list[tuple[int, list[tuple[str, int]]]]) -> None:
    primed = Primed()

    def change(changes: list[tuple[str, int]]) -> None:
        for verb, number in changes:
            if (verb == "create") != primed.has(number):
                getattr(primed, verb)(number)

    await primed.prime(*[Expiry(pages, partial(change, changes)) for pages, changes in expiries])

    assert primed.known == primed.stored
