"""The fake cluster that tests hold: the operator's adapter on a fake API server, and what a user does beside it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from agentex_operator.clock import Clock
from agentex_operator.kube.cluster import KubeCluster
from agentex_operator.kube.kinds import EVENT, KINDS, NAMESPACE, SECRET, Kind
from agentex_operator.settings import Settings
from agentex_testkit.fake_cluster.answers import ApiError, not_found
from agentex_testkit.fake_cluster.api import FakeApi
from agentex_testkit.fake_cluster.faults import Fault
from agentex_testkit.fake_cluster.requests import WRITES, Request
from agentex_testkit.fake_cluster.schema import PRESERVE
from agentex_testkit.fake_cluster.served import Served, operators_kinds
from agentex_testkit.fake_cluster.store import Object, ObjectStore, Snapshot
from agentex_testkit.fake_cluster.streams import FakeStreams
from agentex_testkit.fake_cluster.watch import FakeWatch


class FakeCluster(KubeCluster):
    """The verbs of `Cluster` are the operator's side. `create`, `edit`, `remove` and `read` are those of a user:
    they take effect at once, meet no fault, raise ApiError, and the watch tells of them.

    `clock` stamps the objects and says how long a kept read is believed. A namespace `kube-system` is there.
    """

    def __init__(self, clock: Clock, served: tuple[Served, ...] | None = None,
                 watched: tuple[Kind, ...] = KINDS) -> None:
        self.watch = FakeWatch(watched)
        self.streams = FakeStreams()
        self.store = ObjectStore(served or operators_kinds(), clock.now, self._announce)
        self.fake_api = FakeApi(self.store, self.watch, self.streams)
        super().__init__(self.fake_api, Settings(), clock)
        self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}})

    def _announce(self, kind: Kind, event: str, obj: Object) -> None:
        self.watch.add(kind, event, obj)
        self.streams.add(kind, event, obj)

    def create(self, obj: Mapping[str, Any], namespace: str | None = None) -> Object:
        """Create an object, in `namespace` where the object names none; return it as stored."""
        kind, metadata = self._kind(obj["kind"]), obj["metadata"]
        key = self._key(kind, metadata.get("namespace", namespace), metadata["name"])
        holder = self.store.get((NAMESPACE, None, key[1])) if key[1] else None
        if holder and "deletionTimestamp" in holder["metadata"]:
            raise ApiError(403, f"unable to create new content in namespace {key[1]}: it is being terminated")
        created = self.store.create(key, _plain(obj))
        self.watch.deliver()
        return created

    def edit(self, kind: Kind, namespace: str | None, name: str, **body: Any) -> Object:
        """Merge `body` into an object; a `status` in it is written to the status subresource."""
        key = self._key(kind, namespace, name)
        body = {member: value for member, value in _plain({**body, "kind": kind.kind}).items() if member != "kind"}
        has_status = self.store.served[kind].has_status
        written = self.store.patch_status(key, body) if has_status and "status" in body else self.store.patch(key, body)
        self.watch.deliver()
        return written

    def remove(self, kind: Kind, namespace: str | None, name: str) -> None:
        """Ask for the deletion of an object: with finalizers it stays, marked."""
        self.store.delete(self._key(kind, namespace, name))
        self.watch.deliver()

    def terminate(self, namespace: str) -> None:
        """Delete a namespace as its controller does: at once all that is in it; nothing can be created there."""
        self.store.patch((NAMESPACE, None, namespace), {"metadata": {"finalizers": ["kubernetes"]}})
        self.store.delete((NAMESPACE, None, namespace))
        for kind in self.store.served:
            for obj in self.store.list(kind, namespace) if kind.namespaced else ():
                self.store.delete((kind, namespace, obj["metadata"]["name"]))
        self.watch.deliver()

    def read(self, kind: Kind, namespace: str | None, name: str) -> Object | None:
        """Return an object as it is now, or None."""
        return self.store.get(self._key(kind, namespace, name))

    def restore(self, snapshot: Snapshot) -> None:
        """Put an older copy of everything back; the watches break, and begin anew with a list."""
        self.store.restore(snapshot)
        self.streams.forget(self.store.version)
        self.streams.cut()
        self.watch.lose()
        for kind in self.store.served:
            for obj in self.store.list(kind, None):
                self.watch.add(kind, None, obj)
        self.watch.deliver()

    def events(self, name: str) -> list[Object]:
        """Return the Events about objects of this name, oldest first."""
        found = [one for one in self.store.list(EVENT, None) if one["regarding"]["name"] == name]
        return sorted(found, key=lambda one: int(one["metadata"]["resourceVersion"]))

    def serve_any(self, kind: Kind) -> None:
        """From now on let through every object of a kind of ours, as an older CRD may."""
        self.store.served[kind] = Served(kind, {"type": "object", PRESERVE: True})

    def serve(self, *served: Served) -> None:
        """From now on serve these kinds, by these schemas; as after a CRD was created or replaced."""
        self.store.served |= {one.kind: one for one in served}

    def unserve(self, kind: Kind) -> None:
        """Delete the CRD of a kind, and its objects, whatever finalizers they have."""
        for obj in self.store.list(kind, None):
            key = self._key(kind, obj["metadata"].get("namespace"), obj["metadata"]["name"])
            self.store.patch(key, {"metadata": {"finalizers": None}})
            if self.store.get(key) is not None:
                self.store.delete(key)
        self.watch.deliver()
        del self.store.served[kind]

    def fail(self, fault: Fault) -> Fault:
        """Have a fault happen at a request of the operator."""
        return self.fake_api.faults.add(fault)

    def writes(self, kind: Kind, name: str) -> list[Request]:
        """Return the operator's requests that were to change an object, refused ones included."""
        return [one for one in self.fake_api.requests if (one.kind, one.name) == (kind, name) and one.verb in WRITES]

    def _kind(self, name: str) -> Kind:
        return next(kind for kind in self.store.served if kind.kind == name)

    def _key(self, kind: Kind, namespace: str | None, name: str) -> tuple[Kind, str | None, str]:
        if kind not in self.store.served:
            raise not_found(kind.plural)
        return kind, namespace if kind.namespaced else None, name


def _plain(obj: Mapping[str, Any]) -> Object:
    """The object with the stringData of a Secret under data, as the API server stores it."""
    texts = obj.get("stringData") or {}
    if obj["kind"] != SECRET.kind or not texts:
        return dict(obj)
    data = {key: base64.b64encode(str(text).encode()).decode() for key, text in texts.items()}
    kept = {key: value for key, value in obj.items() if key != "stringData"}
    return {**kept, "data": {**obj.get("data", {}), **data}}


