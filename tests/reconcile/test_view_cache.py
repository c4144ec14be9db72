"""The cache of views: the newest view per object, by uid, kind and name; and what subscribers are told."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from agentex_operator.reconcile.bugs import Bugs
from agentex_operator.reconcile.cache import ViewCache
from agentex_operator.reconcile.views import View


def a_view(uid: str = "u1", version: int = 1, name: str = "a", *, kind: str = "Thing",
           namespace: str | None = "team") -> View:
    metadata = {"uid": uid, "name": name, "namespace": namespace, "resourceVersion": str(version)}
    return View(kind, uid, namespace, name, str(version), {"metadata": metadata})


@dataclass
class Watched:
    """A cache, and what it told of."""

    bugs: Bugs = field(default_factory=Bugs)
    removed: list[View] = field(default_factory=list)
    changes: list[tuple[View | None, View | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cache = ViewCache(self.bugs, self.removed.append)
        self.cache.subscribe("Thing", lambda before, after: self.changes.append((before, after)))


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_newer_view_replaces_the_older_one(watched: Watched) -> None:
    first, second = a_view(version=9), a_view(version=10)

    assert watched.cache.remember(first)
    assert watched.cache.remember(second)

    assert watched.cache.view("u1") is watched.cache.find("Thing", "team", "a") is second
    assert list(watched.cache.views("Thing")) == [second]
    assert watched.changes == [(None, first), (first, second)]


@pytest.mark.parametrize("version", [9, 8])
def test_an_echo_or_a_stale_view_changes_nothing(watched: Watched, version: int) -> None:
    first = a_view(version=9)
    watched.cache.remember(first)

    assert not watched.cache.remember(a_view(version=version))

    assert watched.cache.view("u1") is first
    assert watched.changes == [(None, first)]


def test_a_newer_object_of_the_same_name_replaces_the_older_one(watched: Watched) -> None:
    old, new = a_view("old", 1), a_view("new", 2)
    watched.cache.remember(old)

    assert watched.cache.remember(new)

    assert watched.cache.find("Thing", "team", "a") is new
    assert watched.cache.view("old") is None
    assert watched.removed == [old]
    assert watched.changes == [(None, old), (old, None), (None, new)]


def test_an_older_object_of_the_same_name_is_not_remembered(watched: Watched) -> None:
    new = a_view("new", 2)
    watched.cache.remember(new)

    assert not watched.cache.remember(a_view("old", 1))

    assert watched.cache.find("Thing", "team", "a") is new
    assert len(watched.cache) == 1


def test_objects_of_another_kind_or_namespace_may_have_the_same_name(watched: Watched) -> None:
    views = [a_view("u1"), a_view("u2", kind="Other"), a_view("u3", namespace="others"), a_view("u4", namespace=None)]

    for view in views:
        assert watched.cache.remember(view)

    assert [watched.cache.find(*view.key) for view in views] == views
    assert list(watched.cache.views("Other")) == [views[1]]


def test_a_forgotten_object_is_found_nowhere_and_told_of_once(watched: Watched) -> None:
    view = a_view()
    watched.cache.remember(view)

    watched.cache.forget("u1")
    watched.cache.forget("u1")

    assert watched.cache.view("u1") is watched.cache.find("Thing", "team", "a") is None
    assert list(watched.cache.views("Thing")) == []
    assert len(watched.cache) == 0
    assert watched.removed == [view]
    assert watched.changes == [(None, view), (view, None)]


def test_subscribers_see_a_cache_that_holds_the_change_already(watched: Watched) -> None:
    found: list[View | None] = []
    watched.cache.subscribe("Thing", lambda before, after: found.append(watched.cache.view("u1")))
    view = a_view()

    watched.cache.remember(view)
    watched.cache.forget("u1")

    assert found == [view, None]


def test_subscribers_of_another_kind_are_not_told(watched: Watched) -> None:
    watched.cache.remember(a_view(kind="Other"))

    assert watched.changes == []


def test_a_subscriber_that_raises_is_recorded_and_the_next_one_is_told() -> None:
    bugs, told = Bugs(), []
    cache = ViewCache(bugs, lambda view: None)

    def fail(_before: View | None, _after: View | None) -> None:
        raise ZeroDivisionError

    cache.subscribe("Thing", fail)
    cache.subscribe("Thing", lambda before, after: told.append(after))

    cache.remember(a_view())

    assert bugs.count == 1
    assert told == [a_view()]


def test_views_may_change_while_they_are_iterated_over(watched: Watched) -> None:
    for number in range(3):
        watched.cache.remember(a_view(f"u{number}", name=f"n{number}"))

    for view in watched.cache.views("Thing"):
        watched.cache.forget(view.uid)

    assert len(watched.cache) == 0
