"""Views of raw objects, and how two versions of one object compare."""

from __future__ import annotations

from typing import Any

import pytest

from agentex_operator.reconcile.views import LAST_APPLIED, View, is_edited, is_newer, is_removed, view_of


def a_view(**metadata: Any) -> View:
    view = view_of("Thing", {"metadata": {"uid": "u1", "name": "a", **metadata}})
    assert view is not None
    return view


def test_a_view_has_the_object_without_its_managed_fields() -> None:
    view = view_of("Thing", {
        "metadata": {"uid": "u1", "name": "a", "namespace": "team", "resourceVersion": "7", "managedFields": [{}]},
        "spec": {"size": 1},
    })

    assert view is not None
    assert (view.key, view.uid, view.resource_version) == (("Thing", "team", "a"), "u1", "7")
    assert "managedFields" not in view.obj["metadata"]
    assert view.obj["spec"] == {"size": 1}


def test_a_view_has_the_annotations_without_what_kubectl_applied_last() -> None:
    raw: dict[str, Any] = {"metadata": {"uid": "u1", "name": "a", "annotations": {LAST_APPLIED: "{}", "a": "b"}}}

    view = view_of("Thing", raw)

    assert view is not None
    assert view.obj["metadata"]["annotations"] == {"a": "b"}
    assert raw["metadata"]["annotations"] == {LAST_APPLIED: "{}", "a": "b"}  # what the caller holds is not changed


@pytest.mark.parametrize("obj", [{}, {"metadata": None}, {"metadata": {"uid": "u"}}, {"metadata": {"name": "a"}}])
def test_an_object_without_uid_or_name_has_no_view(obj: dict[str, Any]) -> None:
    assert view_of("Thing", obj) is None


@pytest.mark.parametrize(
    ("version", "than", "newer"),
    [("10", "9", True), ("9", "10", False), ("9", "9", False), ("b", "a", True), ("a", "a", False), ("1", "", True)],
)
def test_versions_compare_as_numbers_else_by_difference(version: str, than: str, newer: bool) -> None:
    assert is_newer(version, than) is newer


@pytest.mark.parametrize(("field", "value"), [
    ("generation", 2), ("deletionTimestamp", "now"), ("annotations", {"a": "b"}), ("labels", {"a": "b"})])
def test_what_only_others_write_shows_their_edit(field: str, value: Any) -> None:
    assert is_edited(a_view(), a_view(**{field: value}))


@pytest.mark.parametrize(("field", "value"), [("resourceVersion", "2"), ("finalizers", ["ours"])])
def test_what_the_operator_writes_too_shows_no_edit(field: str, value: Any) -> None:
    assert not is_edited(a_view(), a_view(**{field: value}))


@pytest.mark.parametrize(("metadata", "removed"), [
    ({}, False),
    ({"finalizers": ["ours"]}, False),
    ({"deletionTimestamp": "now", "finalizers": ["ours"]}, False),
    ({"deletionTimestamp": "now", "finalizers": []}, True),
    ({"deletionTimestamp": "now"}, True),
])
def test_an_object_is_removed_once_it_is_deleted_and_has_no_finalizer(metadata: dict[str, Any], removed: bool) -> None:
    assert is_removed(a_view(**metadata)) is removed
