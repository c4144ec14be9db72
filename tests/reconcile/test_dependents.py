"""The index of dependents: it answers as a scan of all views would, whatever was observed, learnt and forgotten."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentex_operator.reconcile.bugs import Bugs
from agentex_operator.reconcile.cache import ViewCache
from agentex_operator.reconcile.dependents import ANY_NAME, DependentIndex
from agentex_operator.reconcile.engine import Engine
from agentex_operator.reconcile.references import build_references, deployment_references
from agentex_operator.reconcile.views import Key, View
from agentex_operator.reconcile.work_queue import Outcome
from agentex_testkit import samples
from agentex_testkit.clocks import HandClock

KEY: Key = ("Target", "team", "t")


def refers_to(*keys: Key, uid: str = "u1", version: int = 1) -> View:
    return View("Thing", uid, "team", uid, str(version), {"metadata": {}, "keys": keys})


def keys_of(view: View) -> frozenset[Key]:
    return frozenset(view.obj["keys"])


@pytest.fixture
def index() -> DependentIndex:
    index = DependentIndex(Bugs())
    index.register("Thing", keys_of)
    return index


def test_a_view_is_found_by_each_of_its_references(index: DependentIndex) -> None:
    other: Key = ("Target", None, "t")
    index.update(refers_to(KEY, other, uid="u1"))
    index.update(refers_to(KEY, uid="u2"))

    assert index.dependents(KEY) == ["u1", "u2"]
    assert index.dependents(other) == ["u1"]
    assert index.dependents(("Target", "team", "unknown")) == []


def test_a_newer_view_replaces_the_references_of_the_older_one(index: DependentIndex) -> None:
    other: Key = ("Target", "team", "other")
    index.update(refers_to(KEY))
    index.update(refers_to(other, version=2))

    assert index.dependents(KEY) == []
    assert index.dependents(other) == ["u1"]


def test_a_reference_to_any_name_is_found_by_every_name_of_that_kind_and_namespace(index: DependentIndex) -> None:
    index.update(refers_to(("Target", "team", ANY_NAME)))

    assert index.dependents(KEY) == index.dependents(("Target", "team", "other")) == ["u1"]
    assert index.dependents(("Target", None, "t")) == index.dependents(("Other", "team", "t")) == []


def test_an_object_that_refers_by_name_and_to_any_name_is_found_once(index: DependentIndex) -> None:
    index.update(refers_to(KEY, ("Target", "team", ANY_NAME)))

    assert index.dependents(KEY) == ["u1"]


def test_a_removed_object_is_found_no_more(index: DependentIndex) -> None:
    index.update(refers_to(KEY))
    index.remove("u1")
    index.remove("u1")

    assert index.dependents(KEY) == []


def test_a_kind_without_a_function_has_no_references() -> None:
    index = DependentIndex(Bugs())
    index.update(refers_to(KEY))

    assert index.dependents(KEY) == []


def test_a_function_that_raises_is_recorded_as_a_bug_and_leaves_no_old_reference() -> None:
    bugs = Bugs()
    index = DependentIndex(bugs)
    index.register("Thing", lambda view: keys_of(view) if view.resource_version == "1" else 1 / 0)  # type: ignore[arg-type,return-value]
    index.update(refers_to(KEY))
    index.update(refers_to(KEY, version=2))

    assert index.dependents(KEY) == []
    assert bugs.count == 1


def test_objects_that_came_before_their_kind_was_indexed_are_found_too() -> None:
    cache = ViewCache(Bugs(), lambda view: None)
    cache.remember(refers_to(KEY))

    cache.index("Thing", keys_of)

    assert cache.dependents(*KEY) == [refers_to(KEY)]


def test_subscribers_see_an_index_that_holds_the_change_already() -> None:
    cache, found = ViewCache(Bugs(), lambda view: None), []
    cache.index("Thing", keys_of)
    cache.subscribe("Thing", lambda before, after: found.append(len(cache.dependents(*KEY))))

    cache.remember(refers_to(KEY))
    cache.forget("u1")

    assert found == [1, 0]


# --- any history ----------------------------------------------------------------------------------------------------

UIDS = ("u1", "u2", "u3", "u4")
NAMES = ("a", "b", "default")
NAMESPACES = ("team", "others")
ACCOUNT = st.none() | st.fixed_dictionaries({"name": st.sampled_from(NAMES)}, optional={
    "kind": st.sampled_from(["AgentexAccount", "ClusterAgentexAccount"])})
BUILD = st.none() | st.fixed_dictionaries({"name": st.sampled_from(NAMES)})
OBJECTS = st.fixed_dictionaries({
    "spec": st.fixed_dictionaries({"accountRef": ACCOUNT, "buildRef": BUILD}),
    "status": st.fixed_dictionaries({"account": ACCOUNT}) | st.none(),
})
STEPS = st.lists(st.tuples(
    st.sampled_from(["observe", "observe", "learn", "forget", "delete"]), st.sampled_from(UIDS),
    st.sampled_from(NAMESPACES), st.sampled_from(NAMES), st.integers(1, 30), OBJECTS), max_size=40)
KIND_OF = {"u1": "AgentBuild", "u2": "AgentBuild", "u3": "AgentDeployment", "u4": "AgentDeployment"}
REFERENCES = {"AgentBuild": build_references, "AgentDeployment": deployment_references}
TARGETS: list[Key] = [(kind, namespace, name) for kind in ("AgentBuild", "AgentexAccount") for namespace in NAMESPACES
                      for name in NAMES]
TARGETS += [("ClusterAgentexAccount", None, name) for name in NAMES]


async def nothing_to_do(_: View) -> Outcome:
    return Outcome()


def an_engine() -> Engine:
    engine = Engine(HandClock(), 1, lambda: 0.0)
    for kind, references in REFERENCES.items():
        engine.register(kind, nothing_to_do, references=references)
    return engine


def take(engine: Engine, step: tuple[str, str, str, str, int, dict[str, Any]]) -> None:
    what, uid, namespace, name, version, obj = step
    metadata = {"uid": uid, "namespace": namespace, "name": name, "resourceVersion": str(version)}
    whole = {"metadata": metadata, **obj}
    if what == "observe":
        engine.observe(KIND_OF[uid], "MODIFIED", whole)
    elif what == "learn":
        engine.learn(KIND_OF[uid], whole)
    elif what == "delete":
        engine.observe(KIND_OF[uid], "DELETED", whole)
    else:
        engine.forget(uid)


def scan(engine: Engine, target: Key) -> set[str]:
    """The uids of the dependents, found by looking at every view."""
    kind, namespace, _ = target
    wanted = {target, (kind, namespace, ANY_NAME)}
    return {view.uid for dependent, references in REFERENCES.items() for view in engine.views(dependent)
            if references(view) & wanted}


@settings(max_examples=samples.examples(200), deadline=None)
@given(STEPS)
def test_the_index_answers_as_a_scan_of_all_views_would(
        steps: list[tuple[str, str, str, str, int, dict[str, Any]]]) -> None:
    engine = an_engine()
    for step in steps:
        take(engine, step)

        assert {target: {view.uid for view in engine.dependents(*target)} for target in TARGETS} == {
            target: scan(engine, target) for target in TARGETS}
    assert engine.bugs == 0
