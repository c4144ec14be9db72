"""JSON merge patches (RFC 7396), as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The smallest merge patch that turns `old` into `new`: removed keys are null, lists are replaced whole.

    Empty where nothing differs. A None in `new` means the key shall not be there: merge patches cannot say otherwise.
    """
    removed = {key: None for key in old if old[key] is not None and new.get(key) is None}
    changed = {key: _change(old.get(key), value) for key, value in new.items() if _differs(old.get(key), value)}
    return removed | changed


def conditional(view: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """The patch that only applies to exactly this version of exactly this object."""
    metadata = view["metadata"]
    condition = {"resourceVersion": metadata["resourceVersion"], "uid": metadata["uid"]}
    return {**body, "metadata": {**body.get("metadata", {}), **condition}}


def _differs(old: Any, new: Any) -> bool:
    return new is not None and (old != new or type(old) is not type(new))


def _change(old: Any, new: Any) -> Any:
    if not isinstance(new, Mapping):
        return new
    return merge_patch(old if isinstance(old, Mapping) else {}, new)
