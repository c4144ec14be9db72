"""Random operations on a cluster, and what they show: the same on a real API server and on the fake one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hypothesis import strategies as st

from agentex_operator.core.errors import ExternalError
from agentex_operator.kube.cluster import KubeCluster
from agentex_operator.kube.kinds import Kind

GADGET = Kind("conformance.example.com", "v1", "gadgets", "Gadget", namespaced=True)
SPEC = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "minimum": 0, "maximum": 10},
        "mode": {"type": "string", "enum": ["slow", "fast"], "default": "slow"},
        "note": {"type": "string", "maxLength": 5, "pattern": "^[a-z]*$"},
        "limits": {"type": "object", "default": {}, "properties": {"rate": {"type": "integer", "default": 3}}},
        "parts": {"type": "array", "maxItems": 2, "items": {
            "type": "object", "required": ["name"],
            "properties": {"name": {"type": "string"}, "count": {"type": "integer", "default": 1}}}},
    },
}
STATUS = {
    "type": "object",
    "default": {"observedGeneration": -1},
    "properties": {
        "observedGeneration": {"type": "integer"},
        "step": {"type": "integer", "maximum": 10},
        "conditions": {"type": "array", "items": {"type": "object", "properties": {"type": {"type": "string"}}}},
    },
}
SCHEMA = {"type": "object", "required": ["spec"], "properties": {
    "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"},
    "spec": SPEC, "status": STATUS}}
CRD: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": f"{GADGET.plural}.{GADGET.group}"},
    "spec": {
        "group": GADGET.group, "scope": "Namespaced",
        "names": {"plural": GADGET.plural, "singular": "gadget", "kind": GADGET.kind},
        "versions": [{"name": GADGET.version, "served": True, "storage": True, "subresources": {"status": {}},
                      "schema": {"openAPIV3Schema": SCHEMA}}],
    },
}

Condition = Literal["none", "current", "stale", "successor"]


@dataclass(frozen=True)
class Operation:
    """One request about the object of a name. `condition`: on which version it is made, or on which uid beside it."""

    verb: Literal["create", "patch", "patch_status", "delete", "list"]
    name: str
    condition: Condition = "none"
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Runner:
    """Runs operations in one namespace of one cluster, and says what they showed without what differs by nature."""

    cluster: KubeCluster
    namespace: str
    prefix: str
    versions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by name, as read after each operation
    uids: list[str] = field(default_factory=list)

    async def run(self, operation: Operation) -> dict[str, Any]:
        """The outcome, the object afterwards, and what of its numbers moved."""
        before = await self._read(operation.name)
        try:
            outcome = await self._answer(operation)
        except ExternalError as error:
            outcome = (type(error).__name__, getattr(error, "status", None))
        after = await self._read(operation.name)
        return {"outcome": outcome, "object": self._bare(after), "moved": _version(before) != _version(after)}

    async def _answer(self, operation: Operation) -> Any:
        name, where = operation.name, (GADGET, self.namespace, self.prefix + operation.name)
        match operation.verb:
            case "create":
                return await self._create(operation)
            case "list":
                found = [one async for page in self.cluster.pages(GADGET, self.namespace) for one in page.objects]
                return [self._bare(one) for one in found if one["metadata"]["name"].startswith(self.prefix)]
            case "delete":
                condition = self._condition(operation)
                await self.cluster.delete(*where, uid=condition["uid"], resource_version=condition["resourceVersion"])
                return None
            case _:
                conditional = operation.condition != "none" and self.versions.get(name)
                metadata = {**operation.body.get("metadata", {}), **(self._condition(operation) if conditional else {})}
                body = {**operation.body, "metadata": metadata}
                status = operation.verb == "patch_status"
                answer = await self.cluster.patch(*where, body, status=status)
                return {"object": self._bare(answer), "moved": _version(answer) != _version(self.versions[name][-1])}

    async def _create(self, operation: Operation) -> Any:
        metadata = {**operation.body.get("metadata", {}), "name": self.prefix + operation.name}
        whole = {"apiVersion": GADGET.api_version, "kind": GADGET.kind, **operation.body, "metadata": metadata}
        return self._bare(await self.cluster.api.post(GADGET.collection(self.namespace), whole))

    def _condition(self, operation: Operation) -> dict[str, str]:
        """The uid and version to name: as last seen, as seen before it last moved, or of another object."""
        seen = self.versions.get(operation.name) or [{"metadata": {"uid": "absent", "resourceVersion": "1"}}]
        newest, oldest = seen[-1]["metadata"], seen[0]["metadata"]
        chosen = oldest if operation.condition == "stale" else newest
        uid = "00000000-0000-0000-0000-000000000000" if operation.condition == "successor" else chosen["uid"]
        return {"uid": uid, "resourceVersion": chosen["resourceVersion"]}

    async def _read(self, name: str) -> dict[str, Any] | None:
        found = await self.cluster.get(GADGET, self.namespace, self.prefix + name)
        if found is not None:
            self.versions.setdefault(name, []).append(found)
        return found

    def _bare(self, obj: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """The object with the order in which its uid was met in place of the uid, and times as being there."""
        if obj is None:
            return None
        metadata = {key: value for key, value in obj["metadata"].items()
                    if key not in ("managedFields", "resourceVersion")}
        if metadata["uid"] not in self.uids:
            self.uids.append(metadata["uid"])
        told = {"uid": self.uids.index(metadata["uid"]), "namespace": None} | {
            key: "a time" for key in ("creationTimestamp", "deletionTimestamp") if key in metadata}
        return {**obj, "metadata": {**metadata, **told}}


def _version(obj: Mapping[str, Any] | None) -> str | None:
    return obj["metadata"]["resourceVersion"] if obj else None


# --- what is tried ----------------------------------------------------------------------------------------------------

FINALIZERS = st.sampled_from([[], ["a.example.com/x"], ["a.example.com/x", "b.example.com/y"], None])
METADATA = st.fixed_dictionaries({}, optional={
    "finalizers": FINALIZERS,
    "labels": st.sampled_from([{"a": "1"}, {"a": "2", "b": "3"}, {"a": None}, {}, None]),
    "annotations": st.sampled_from([{"n": "1"}, {}, None]),
    "generation": st.just(99),
})
SPECS = st.fixed_dictionaries({}, optional={
    "size": st.sampled_from([1, 2, 11, "two", None]),
    "mode": st.sampled_from(["slow", "fast", "odd", None]),
    "note": st.sampled_from(["abc", "", "ABC", "abcdef", None]),
    "limits": st.sampled_from([{"rate": 5}, {"rate": None}, {}, None]),
    "parts": st.sampled_from([[], [{"name": "p"}], [{"count": 2}], [{"name": "p"}] * 3, None]),
    "unknown": st.just({"member": 1}),
})
STATUSES = st.fixed_dictionaries({}, optional={
    "observedGeneration": st.sampled_from([-1, 1, None]),
    "step": st.sampled_from([1, 2, 11, None]),
    "conditions": st.sampled_from([[], [{"type": "Ready", "unknown": 1}], None]),
})
CHANGES = st.fixed_dictionaries({}, optional={"metadata": METADATA, "spec": SPECS, "status": STATUSES})
NAMES = st.sampled_from(["a", "b"])
CONDITIONS: st.SearchStrategy[Condition] = st.sampled_from(["none", "current", "stale", "successor"])
FIRST_METADATA = METADATA.map(lambda metadata: {key: value for key, value in metadata.items() if value != {"a": None}})
CREATES = st.builds(
    Operation, st.just("create"), NAMES, st.just("none"),
    st.fixed_dictionaries({"spec": SPECS.map(lambda spec: {"size": 1, **spec})},
                          optional={"metadata": FIRST_METADATA, "status": STATUSES}))
PATCHES = st.builds(Operation, st.sampled_from(["patch", "patch_status"]), NAMES, CONDITIONS, CHANGES)
DELETES = st.builds(Operation, st.just("delete"), NAMES, CONDITIONS)
LISTS = st.builds(Operation, st.just("list"), NAMES)
OPERATIONS = st.lists(st.one_of(CREATES, PATCHES, PATCHES, PATCHES, DELETES, LISTS), min_size=1, max_size=12)
