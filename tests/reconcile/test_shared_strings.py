"""Shared strings: equal strings of all views in the cache are one object, and nothing else of a view changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.reconcile.engines import an_object

from agentex_operator.reconcile.engine import Engine
from agentex_operator.reconcile.shared_strings import LONGEST, SharedStrings
from agentex_operator.reconcile.views import View
from agentex_testkit.clocks import HandClock

TEXTS = st.text(max_size=8) | st.sampled_from(["", "team", "x" * LONGEST, "x" * (LONGEST + 1)])
VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
                      lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4))


def read_anew(value: Any) -> Any:
    """The value as an answer of the API server has it: no string is shared with another answer."""
    return json.loads(json.dumps(value))


def strings_of(value: Any) -> Iterator[str]:
    """Every string in a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for member in value.values():
            yield from strings_of(member)
    elif isinstance(value, list):
        for member in value:
            yield from strings_of(member)


def strings_in(view: View) -> list[str]:
    fields = (view.kind, view.uid, view.name, view.namespace, view.resource_version)
    return [*strings_of(view.obj), *(one for one in fields if one is not None)]


def one_of_each(views: list[View]) -> bool:
    """Whether equal strings of the views are one object."""
    strings = [text for view in views for text in strings_in(view)]
    return len({id(text) for text in strings}) == len(set(strings))


def test_an_object_of_a_list_an_event_and_the_answer_to_a_write_share_their_strings() -> None:
    engine = Engine(HandClock(), 1, lambda: 0.0)
    spec = {"image": {"name": "registry.example/an-image"}, "source": [{"kind": "ConfigMap"}] * 2}
    for uid in ("one", "two", "three"):
        engine.observe("Thing", None if uid == "one" else "ADDED", read_anew({**an_object(uid, 1, uid), "spec": spec}))
    engine.learn("Thing", read_anew({**an_object("three", 2, "three"), "spec": spec, "status": {"phase": "Ready"}}))

    assert [view.resource_version for view in engine.views("Thing")] == ["1", "1", "2"]
    assert one_of_each(list(engine.views("Thing")))


@given(VALUES)
def test_a_view_with_shared_strings_is_equal(value: Any) -> None:
    obj = {"metadata": {"uid": "u", "name": "a"}, "spec": value}
    view = View("Thing", "u", None, "a", "1", obj)

    shared = SharedStrings().view(view)

    assert shared == view
    assert json.dumps(shared.obj) == json.dumps(obj)  # 1 and True are equal, too


@given(st.lists(TEXTS))
def test_no_more_strings_are_remembered_than_the_capacity(texts: list[str]) -> None:
    strings = SharedStrings(capacity=16)

    for text in texts:
        strings.view(View("Thing", "u", None, text, "1", {"spec": [text]}))
        assert len(strings) <= 16
