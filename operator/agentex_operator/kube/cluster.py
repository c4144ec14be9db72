"""The cluster as a Protocol with the verbs that the reconcilers use, and its implementation on the API server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import quote

from agentex_operator.core import reasons
from agentex_operator.core.errors import NotReady, Rejected, Unauthorized, Unavailable
from agentex_operator.kube import access
from agentex_operator.kube.api import Api
from agentex_operator.kube.kinds import CONFIG_MAP, NAMESPACE, SECRET, Kind
from agentex_operator.kube.shared_reads import SharedReads
from agentex_operator.settings import Settings, version

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from agentex_operator.clock import Clock
    from agentex_operator.kube.access import Access

CACHE_SECONDS = 2.0  # of ConfigMaps and Namespaces
KIND_OF_SCHEMA = "x-kubernetes-group-version-kind"
CHUNK = 500  # objects per response of a list
EXPIRED = 410  # the status of an answer to a continue token that is too old
MOST_RESTARTS = 3  # of one list, each because of an expired continue token
NOT_IDENTIFIED = "The operator identifies this cluster by the uid of the namespace kube-system"


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list. `is_first`: the list begins, or begins anew: what earlier pages had counts no more."""

    objects: tuple[dict[str, Any], ...]
    is_first: bool


class Cluster(Protocol):
    """Objects are dicts as the API server sends them. Without one, a read returns None and a write raises Conflict.

    All verbs raise Unauthorized (401, 403), Throttled (429) and Unavailable (no usable response; a write may have been
    carried out). Reads are retried; writes are sent once.
    """

    async def get(self, kind: Kind, namespace: str | None, name: str) -> dict[str, Any] | None:
        """Read one object, live."""

    def pages(self, kind: Kind, namespace: str | None) -> AsyncIterator[Page]:
        """List all objects of a kind, live and page by page; of all namespaces where `namespace` is None.

        A list whose rest the API server does not know any more begins anew (`Page.is_first`).
        """

    async def storage_version(self, kind: Kind, namespace: str | None) -> str:
        """Read the resourceVersion at which the API server lists this kind now; "" where it serves no such kind."""

    async def served(self, kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
        """Those of the kinds that the API server serves now, in the same order."""

    async def schemas(self, root: str) -> dict[str, dict[str, Any]]:
        """Read the schemas of the custom resources under this path, by kind; none where none are published."""

    async def patch(
        self, kind: Kind, namespace: str | None, name: str, body: Mapping[str, Any], *, status: bool = False
    ) -> dict[str, Any]:
        """Merge-patch one object or its status; returns the object as it is afterwards.

        Conditional where the body carries metadata.resourceVersion and metadata.uid (`patches.conditional`);
        a uid alone is a ValueError, because the API server ignores it when a status is written.
        Raises Conflict (the object changed, was replaced or is gone) and Rejected (422 and other final refusals).
        """

    async def delete(
        self, kind: Kind, namespace: str | None, name: str, *, uid: str, resource_version: str | None = None
    ) -> None:
        """Delete the object if it has this uid, and this version where one is given; raises Conflict otherwise."""

    async def config_map(self, namespace: str, name: str, since: float = 0.0) -> dict[str, Any] | None:
        """Read a ConfigMap; up to CACHE_SECONDS old, but not read before `since` (of the monotonic clock)."""

    async def secret(self, namespace: str, name: str, since: float = 0.0) -> dict[str, Any] | None:
        """Read a Secret, never cached; its values are still base64. May share a request that was sent since `since`."""

    def forget_config_map(self, namespace: str, name: str) -> None:
        """Have the next read of a ConfigMap that has changed ask the API server."""

    def forget_config_maps(self) -> None:
        """Have the next read of every ConfigMap ask the API server."""

    async def namespace(self, name: str) -> dict[str, Any] | None:
        """Read a Namespace; up to CACHE_SECONDS old."""

    async def cluster_uid(self) -> str:
        """The uid of the namespace kube-system, which identifies this cluster among all others. Read once."""


class KubeCluster:
    """The Cluster of the real API server."""

    def __init__(self, api: Api, settings: Settings, clock: Clock) -> None:
        self.api = api
        self._settings = settings
        self._cached_reads = SharedReads(api.get, clock, CACHE_SECONDS)
        self._config_map_reads = SharedReads(api.get, clock, CACHE_SECONDS)
        self._secret_reads = SharedReads(api.get, clock, 0)
        self._uid = ""

    @classmethod
    async def connect(cls, settings: Settings, clock: Clock) -> Self:
        """Read the credentials, without a request. Raises NotReady with the next step if there are none."""
        loaded = await access.load(settings.kubeconfig, settings.context)
        loaded.connection_pool_maxsize += max(len(settings.watch_namespaces), 1)  # a watch of ConfigMaps in each
        return cls(Api(loaded, f"agentex-operator/{version()}"), settings, clock)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.api.close()

    async def access(self) -> Access:
        """The access of the same user with newly read credentials, for the watch."""
        return await access.access_of(await access.load(self._settings.kubeconfig, self._settings.context))

    async def get(self, kind: Kind, namespace: str | None, name: str) -> dict[str, Any] | None:
        """See Cluster."""
        return await self.api.get(kind.path(namespace, name))

    async def pages(self, kind: Kind, namespace: str | None) -> AsyncIterator[Page]:
        """See Cluster. Raises Unavailable for a list that began anew MOST_RESTARTS times, and does not end."""
        more, restarts = "", 0
        while True:
            try:
                chunk = await self._chunk(kind, namespace, more)
            except Rejected as error:
                restarts += 1
                _require_expired(error, more, restarts)
                more = ""
                continue
            yield _page(kind, chunk, is_first=not more)
            more = str((chunk.get("metadata") or {}).get("continue") or "")
            if not more:
                return

    async def _chunk(self, kind: Kind, namespace: str | None, more: str) -> dict[str, Any]:
        found = await self.api.get(f"{kind.collection(namespace)}?limit={CHUNK}&continue={quote(more, safe='')}")
        return found or {}

    async def storage_version(self, kind: Kind, namespace: str | None) -> str:
        """See Cluster."""
        chunk = await self.api.get(f"{kind.collection(namespace)}?limit=1")
        return str((chunk or {}).get("metadata", {}).get("resourceVersion") or "")

    async def patch(
        self, kind: Kind, namespace: str | None, name: str, body: Mapping[str, Any], *, status: bool = False
    ) -> dict[str, Any]:
        """See Cluster."""
        _require_complete_precondition(body)
        return await self.api.patch(kind.path(namespace, name) + ("/status" if status else ""), body)

    async def delete(
        self, kind: Kind, namespace: str | None, name: str, *, uid: str, resource_version: str | None = None
    ) -> None:
        """See Cluster."""
        conditions = {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {})
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": conditions}
        await self.api.delete(kind.path(namespace, name), options)

    async def config_map(self, namespace: str, name: str, since: float = 0.0) -> dict[str, Any] | None:
        """See Cluster."""
        return await self._config_map_reads.get(CONFIG_MAP.path(namespace, name), since)

    def forget_config_map(self, namespace: str, name: str) -> None:
        """See Cluster."""
        self._config_map_reads.forget(CONFIG_MAP.path(namespace, name))

    def forget_config_maps(self) -> None:
        """See Cluster."""
        self._config_map_reads.forget_all()

    async def secret(self, namespace: str, name: str, since: float = 0.0) -> dict[str, Any] | None:
        """See Cluster."""
        return await self._secret_reads.get(SECRET.path(namespace, name), since)

    async def namespace(self, name: str) -> dict[str, Any] | None:
        """See Cluster."""
        return await self._cached_reads.get(NAMESPACE.path(None, name))

    async def cluster_uid(self) -> str:
        """See Cluster."""
        if not self._uid:
            self._uid = await self._read_cluster_uid()
        return self._uid

    async def _read_cluster_uid(self) -> str:
        try:
            found = await self.namespace("kube-system")
        except Unauthorized as error:
            message = (f"{NOT_IDENTIFIED}: it may not read that namespace. Give the operator the right `get` on "
                       f"namespaces (docs/operations.md). {error.message}")
            raise Unauthorized(message, status=error.status) from error
        if found is None:
            message = (f"{NOT_IDENTIFIED}, and there is no such namespace. Create the namespace kube-system, which "
                       "every Kubernetes cluster has; before that, no resource is worked on.")
            raise NotReady(reasons.CLUSTER_NOT_IDENTIFIED, message)
        return str(found["metadata"]["uid"])

    async def served(self, kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
        """See Cluster."""
        plurals = {root: await self._plurals(root) for root in dict.fromkeys(kind.root for kind in kinds)}
        return tuple(kind for kind in kinds if kind.plural in plurals[kind.root])

    async def _plurals(self, root: str) -> set[str]:
        """The plurals of the kinds that the API server serves under this path."""
        found = await self.api.get(root) or {}
        return {resource["name"] for resource in found.get("resources", [])}

    async def schemas(self, root: str) -> dict[str, dict[str, Any]]:
        """See Cluster."""
        document = await self.api.get(f"/openapi/v3{root}") or {}
        schemas = (document.get("components") or {}).get("schemas") or {}
        return {str(name["kind"]): schema for schema in schemas.values()
                for name in schema.get(KIND_OF_SCHEMA) or () if "spec" in schema.get("properties", {})}


def _page(kind: Kind, chunk: Mapping[str, Any], *, is_first: bool) -> Page:
    """The objects of a chunk; the items of a list name neither their apiVersion nor their kind."""
    items = chunk.get("items") or ()
    return Page(tuple({"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in items), is_first)


def _require_expired(error: Rejected, more: str, restarts: int) -> None:
    """Raise the error of a chunk, unless it says that the rest of the list is not known any more (410)."""
    if error.status != EXPIRED or not more:
        raise error
    if restarts > MOST_RESTARTS:
        raise Unavailable(f"a list began anew {MOST_RESTARTS} times, and expired again before its end") from error


def _require_complete_precondition(body: Mapping[str, Any]) -> None:
    metadata = body.get("metadata") or {}
    if "uid" in metadata and "resourceVersion" not in metadata:
        message = "a uid without a resourceVersion does not make a write conditional"
        raise ValueError(message)
