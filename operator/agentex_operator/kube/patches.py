"""JSON merge patches (RFC 7396): the difference of two objects, and preconditions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The smallest merge patch that turns `old` into `new`: removed keys are null, lists are replaced whole.

    Empty where nothing differs. A None in `new` removes the key: a merge patch cannot set a key to null.
    """
    removed = {key: None for key in old if old[key] is not None and new.get(key) is None}
    changed = {key: _change(old.get(key), value) for key, value in new.items() if _differs(old.get(key), value)}
    return removed | changed


def conditional(view: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """The patch with a precondition: it applies only to this object (uid) at this version (resourceVersion)."""
    metadata = view["metadata"]
    condition = {"resourceVersion": metadata["resourceVersion"], "uid": metadata["uid"]}
    return {**body, "metadata": {**body.get("metadata", {}), **condition}}


def _differs(old: Any, new: Any) -> bool:
    return new is not None and (old != new or type(old) is not type(new))


def _change(old: Any, new: Any) -> Any:
    if not isinstance(new, Mapping):
        return new
    return merge_patch(old if isinstance(old, Mapping) else {}, new)
