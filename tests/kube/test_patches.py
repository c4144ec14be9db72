"""Merge patches: applied by the rule of the API server, they turn the old object into the new one."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentex_operator.kube.patches import conditional, merge_patch

SCALARS = st.booleans() | st.integers(-3, 3) | st.text(max_size=3)
VALUES = st.recursive(
    SCALARS | st.lists(SCALARS, max_size=3), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
)
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # two cores, many tests
OBJECTS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


def applied(target: Any, patch: Any) -> Any:
    """RFC 7396, as it is written there."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = applied(result.get(key), value)
    return result


@UNHURRIED
@given(OBJECTS, OBJECTS)
def test_the_patch_applied_to_the_old_object_gives_the_new_one(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert applied(old, merge_patch(old, new)) == new


@UNHURRIED
@given(OBJECTS)
def test_the_patch_between_equal_objects_is_empty(same: dict[str, Any]) -> None:
    assert merge_patch(same, same) == {}


def test_removed_keys_are_null_and_lists_are_whole() -> None:
    old = {"a": {"b": 1, "c": 2}, "l": [1, 2], "gone": {"x": 1}, "flag": 1}
    new = {"a": {"b": 1}, "l": [1], "flag": True, "never": None}

    assert merge_patch(old, new) == {"a": {"c": None}, "l": [1], "gone": None, "flag": True}


def test_a_conditional_patch_names_version_and_uid_beside_what_it_changes() -> None:
    view = {"metadata": {"uid": "u", "resourceVersion": "7", "name": "n"}}

    body = conditional(view, {"metadata": {"finalizers": ["f"]}})

    assert body == {"metadata": {"finalizers": ["f"], "uid": "u", "resourceVersion": "7"}}
