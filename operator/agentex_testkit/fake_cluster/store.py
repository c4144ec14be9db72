"""The objects of a fake API server, and the rules by which they are created, changed and deleted."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agentex_operator.kube.kinds import Kind
from agentex_testkit.fake_cluster import schema
from agentex_testkit.fake_cluster.answers import ApiError, conflict, not_found
from agentex_testkit.fake_cluster.served import Served

Object = dict[str, Any]
Key = tuple[Kind, str | None, str]  # kind, namespace (None for cluster-scoped kinds), name
Announce = Callable[[Kind, str, Object], None]  # kind, ADDED | MODIFIED | DELETED, the object

FIXED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink")


@dataclass(frozen=True)
class Snapshot:
    """All objects at a version of the storage."""

    version: int
    objects: dict[Key, Object]


class ObjectStore:
    """Every object as it is stored. `announce` is told of each change; `now` gives the time of day.

    All methods raise ApiError. What they take and give is copied.
    """

    def __init__(self, served: tuple[Served, ...], now: Callable[[], datetime], announce: Announce) -> None:
        self.served = {one.kind: one for one in served}
        self._now, self._announce = now, announce
        self._objects: dict[Key, Object] = {}
        self.version = 0  # the newest resourceVersion that was given to an object

    def get(self, key: Key) -> Object | None:
        """Return one object as a reader sees it, or None."""
        stored = self._objects.get(key)
        return None if stored is None else self._seen(key[0], stored)

    def list(self, kind: Kind, namespace: str | None) -> list[Object]:
        """Return all objects of a kind, of every namespace where it is None, sorted by namespace and name."""
        keys = [key for key in self._objects if key[0] == kind and namespace in (None, key[1])]
        return [self._seen(kind, self._objects[key]) for key in sorted(keys, key=lambda key: (key[1] or "", key[2]))]

    def create(self, key: Key, obj: Mapping[str, Any]) -> Object:
        """Store a new object at generation 1; of a kind with a status subresource the status is not taken."""
        served = self.served[key[0]]
        fresh = served.taken_in(_without_status(obj) if served.has_status else obj)
        fresh["metadata"] = self._first_metadata(key, obj["metadata"], counted=served.has_status)
        served.check(fresh)
        if key in self._objects:
            raise ApiError(409, f"{key[2]!r} already exists")
        return self._store(key, _without_status(fresh) if served.has_status else fresh, "ADDED")

    def patch(self, key: Key, body: Mapping[str, Any]) -> Object:
        """Merge into everything but the status; removing the last finalizer of a deleting object deletes it."""
        served, stored = self._stored(key)
        before = served.read(stored)
        _require_version(key, stored, body)
        _require_uid(stored, body)
        after = _changed(served, before, merged(before, body))
        served.check(after)
        if after["metadata"].get("deletionTimestamp") and not after["metadata"].get("finalizers"):
            self._remove(key, after)
            return self._seen(key[0], after)
        return self._store(key, after, "MODIFIED")

    def patch_status(self, key: Key, body: Mapping[str, Any]) -> Object:
        """Merge into the status and nothing else; a uid in the body is no condition here."""
        served, stored = self._stored(key)
        if not served.has_status:
            raise not_found(f"{key[0].plural}/status")
        _require_version(key, stored, body)
        before = served.read(stored)
        after = {**before, "status": merged(before, body).get("status", {})}
        after = served.taken_in(after)
        served.check(after)
        return self._store(key, after, "MODIFIED")

    def delete(self, key: Key, preconditions: Mapping[str, str] | None = None) -> None:
        """Remove an object, or with finalizers mark it as deleting, which counts as a new generation."""
        served, stored = self._stored(key)
        metadata = stored["metadata"]
        if any(metadata[name] != value for name, value in (preconditions or {}).items()):
            raise conflict(key[2])
        if not metadata.get("finalizers"):
            self._remove(key, stored)
        elif "deletionTimestamp" not in metadata:
            marks = {"deletionTimestamp": _stamp(self._now()), "deletionGracePeriodSeconds": 0}
            counted = {"generation": metadata["generation"] + 1} if served.has_status else {}
            self._store(key, {**served.read(stored), "metadata": {**metadata, **marks, **counted}}, "MODIFIED")

    def snapshot(self) -> Snapshot:
        """Return what is stored now."""
        return Snapshot(self.version, copy.deepcopy(self._objects))

    def restore(self, snapshot: Snapshot) -> None:
        """Put an older copy back, as an etcd restored from a backup; nothing is announced, and versions go back."""
        self.version, self._objects = snapshot.version, copy.deepcopy(snapshot.objects)

    def _next_version(self) -> str:
        self.version += 1
        return str(self.version)

    def _stored(self, key: Key) -> tuple[Served, Object]:
        if key not in self._objects:
            raise not_found(key[2])
        return self.served[key[0]], self._objects[key]

    def _store(self, key: Key, obj: Object, event: str) -> Object:
        """Keep the object under a new version, unless it is what is stored already."""
        if obj != self._objects.get(key):
            version = {"resourceVersion": self._next_version()}
            self._objects[key] = schema.copied({**obj, "metadata": {**obj["metadata"], **version}})
            self._announce(key[0], event, self._seen(key[0], self._objects[key]))
        return self._seen(key[0], self._objects[key])

    def _remove(self, key: Key, obj: Object) -> None:
        """Forget the object; its last event carries a version of its own."""
        del self._objects[key]
        version = {"resourceVersion": self._next_version()}
        self._announce(key[0], "DELETED", self._seen(key[0], {**obj, "metadata": {**obj["metadata"], **version}}))

    def _seen(self, kind: Kind, stored: Object) -> Object:
        return self.served[kind].read(stored)

    def _first_metadata(self, key: Key, wished: Mapping[str, Any], *, counted: bool) -> Object:
        kept = {name: value for name, value in wished.items() if name not in (*FIXED, "resourceVersion") and value}
        placed = {"name": key[2]} | ({"namespace": key[1]} if key[1] is not None else {})
        stamps = {"uid": str(uuid.uuid4()), "creationTimestamp": _stamp(self._now())}
        return {**kept, **placed, **stamps, **({"generation": 1} if counted else {})}


def merged(target: Any, patch: Any) -> Any:
    """Return the target after a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _changed(served: Served, before: Object, after: Object) -> Object:
    """The object after a write: what nobody may change is as before, and another spec is another generation."""
    fixed = {name: before["metadata"][name] for name in FIXED if name in before["metadata"]}
    kept = {name: value for name, value in after["metadata"].items() if name not in FIXED and value}
    metadata = {**kept, **fixed, "resourceVersion": before["metadata"]["resourceVersion"]}
    if not served.has_status:
        return {**after, "metadata": metadata}
    _refuse_new_finalizers(before["metadata"], metadata)
    status = {"status": before["status"]} if "status" in before else {}
    after = served.taken_in({**_without_status(after), **status, "metadata": metadata})
    if _content(after) != _content(before):
        after["metadata"] = {**metadata, "generation": before["metadata"]["generation"] + 1}
    return after


def _refuse_new_finalizers(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    new = set(after.get("finalizers", ())) - set(before.get("finalizers", ()))
    if new and "deletionTimestamp" in before:
        raise ApiError(422, f"metadata.finalizers: Forbidden: no new finalizers can be added to it: {sorted(new)}")


def _require_version(key: Key, stored: Object, body: Mapping[str, Any]) -> None:
    current = stored["metadata"]["resourceVersion"]
    if (body.get("metadata") or {}).get("resourceVersion", current) != current:
        raise conflict(key[2])


def _require_uid(stored: Object, body: Mapping[str, Any]) -> None:
    """With the right version, another uid is no conflict but an attempt to change the uid."""
    current = stored["metadata"]["uid"]
    if (body.get("metadata") or {}).get("uid", current) != current:
        raise ApiError(422, "metadata.uid: Invalid value: field is immutable")


def _content(obj: Mapping[str, Any]) -> Object:
    return {name: value for name, value in obj.items() if name not in ("metadata", "status")}


def _without_status(obj: Mapping[str, Any]) -> Object:
    return {name: value for name, value in obj.items() if name != "status"}


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
