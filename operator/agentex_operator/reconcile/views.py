"""A view: one object of the cluster as it was last seen, and how two views of it compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agentex_operator.core import guard

if TYPE_CHECKING:
    from collections.abc import Mapping

Key = tuple[str, str | None, str]  # kind, namespace (None for cluster-scoped kinds), name

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"  # by kubectl, a copy of the whole object


@dataclass(frozen=True, slots=True)
class View:
    """One object as last seen, in a watch event or in the response to our own write.

    `obj` has neither managedFields nor the annotation LAST_APPLIED: nothing reads them, and they are half of an object.
    """

    kind: str
    uid: str
    namespace: str | None
    name: str
    resource_version: str
    obj: Mapping[str, Any]

    @property
    def key(self) -> Key:
        """Kind, namespace and name. An object that is created anew under the same name has the same key."""
        return self.kind, self.namespace, self.name


def view_of(kind: str, obj: Mapping[str, Any]) -> View | None:
    """The view of a raw object; None if the object has no uid or no name."""
    metadata = {key: value for key, value in (obj.get("metadata") or {}).items() if key != "managedFields"}
    if LAST_APPLIED in (annotations := metadata.get("annotations") or {}):
        metadata["annotations"] = {key: value for key, value in annotations.items() if key != LAST_APPLIED}
    if not metadata.get("uid") or not metadata.get("name"):
        return None
    return View(
        kind=kind,
        uid=metadata["uid"],
        namespace=metadata.get("namespace"),
        name=metadata["name"],
        resource_version=metadata.get("resourceVersion", ""),
        obj={**obj, "metadata": metadata},
    )


def is_newer(version: str, than: str) -> bool:
    """Whether a resourceVersion is newer than another one.

    They compare as numbers where both are numbers, as all API servers write them; else any other version is newer.
    """
    new, old = version_number(version), version_number(than)
    return version != than if new is None or old is None else new > old


def version_number(version: str) -> int | None:
    """The resourceVersion as a number; None for any other text."""
    return guard.or_none(int, version) if version.isdecimal() else None


def is_edited(before: View, after: View) -> bool:
    """Whether somebody else changed the object: the operator itself writes only finalizers and the status."""
    return any(before.obj["metadata"].get(field) != after.obj["metadata"].get(field)
               for field in ("generation", "deletionTimestamp", "annotations", "labels"))


def is_removed(view: View) -> bool:
    """Whether the API server removes the object with this version: it is being deleted and has no finalizer left."""
    metadata = view.obj["metadata"]
    return bool(metadata.get("deletionTimestamp")) and not metadata.get("finalizers")
