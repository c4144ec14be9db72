"""The cluster behind one Protocol: the verbs the reconcilers use, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import quote

from agentex_operator.core.errors import NotReady
from agentex_operator.kube import access
from agentex_operator.kube.api import Api
from agentex_operator.kube.kinds import CONFIG_MAP, KINDS, NAMESPACE, SECRET, Kind
from agentex_operator.kube.shared import SharedReads
from agentex_operator.settings import Settings, version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentex_operator.clock import Clock
    from agentex_operator.kube.access import Access

CONFIG_MAPS_KEPT = 2.0  # seconds
CHUNK = 500  # objects per answer of a list


class Cluster(Protocol):
    """Objects are dicts as the API server sends them. Not found is None when reading, Conflict when writing.

    All verbs raise Unauthorized (401, 403), Throttled (429) and Unavailable (no usable answer: of a write, it may
    have happened). Reads are tried again by themselves; writes are sent once.
    """

    async def get(self, kind: Kind, namespace: str | None, name: str) -> dict[str, Any] | None:
        """Read one object, live."""

    async def list(self, kind: Kind, namespace: str | None) -> list[dict[str, Any]]:
        """Read all objects of a kind, live and in chunks; of all namespaces where `namespace` is None."""

    async def patch(
        self, kind: Kind, namespace: str | None, name: str, body: Mapping[str, Any], *, status: bool = False
    ) -> dict[str, Any]:
        """Merge-patch one object or its status; the object as it is afterwards.

        Conditional where the body carries metadata.resourceVersion and metadata.uid (`patches.conditional`);
        a uid alone is a ValueError, because the API server ignores it when a status is written.
        Raises Conflict (changed, replaced or gone) and Rejected (422 and other definite noes).
        """

    async def delete(
        self, kind: Kind, namespace: str | None, name: str, *, uid: str, resource_version: str | None = None
    ) -> None:
        """Delete exactly this object, if it is still at that version; raises Conflict otherwise."""

    async def config_map(self, namespace: str, name: str, since: float = 0.0) -> dict[str, Any] | None:
        """Read a ConfigMap; up to two seconds old, but not older than `since` (of the monotonic clock)."""

    async def secret(self, namespace: str, name: str, since: float = 0.0) -> dict[str, Any] | None:
        """Read a Secret, live; its values are still base64. A read under way will do if it began after `since`."""

    async def namespace(self, name: str) -> dict[str, Any] | None:
        """Read a Namespace; up to two seconds old."""

    async def cluster_uid(self) -> str:
        """The uid of the namespace kube-system: this cluster's name among all. Asked once."""


class KubeCluster:
    """The Cluster on the real API server."""

    def __init__(self, api: Api, settings: Settings, clock: Clock) -> None:
        self.api = api
        self._settings = settings
        self._kept_reads = SharedReads(api.get, clock, CONFIG_MAPS_KEPT)
        self._secret_reads = SharedReads(api.get, clock, 0)
        self._uid = ""

    @classmethod
    async def connect(cls, settings: Settings, clock: Clock) -> Self:
        """Read the credentials; raises NotReady with the next step where there are none. Nothing is asked yet."""
        loaded = await access.load(settings.kubeconfig, settings.context)
        return cls(Api(loaded, f"agentex-operator/{version()}"), settings, clock)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.api.close()

    async def access(self) -> Access:
        """Fresh credentials of the same user, for the watch."""
        return await access.access_of(await access.load(self._settings.kubeconfig, self._settings.context))

    async def get(self, kind: Kind, namespace: str | None, name: str) -> dict[str, Any] | None:
        """See Cluster."""
        return await self.api.get(kind.path(namespace, name))

    async def list(self, kind: Kind, namespace: str | None) -> list[dict[str, Any]]:
        """See Cluster."""
        found: list[dict[str, Any]] = []
        more: str | None = ""
        while more is not None:
            chunk = await self.api.get(f"{kind.collection(namespace)}?limit={CHUNK}&continue={quote(more, safe='')}")
            items = (chunk or {}).get("items", [])
            found += [{"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in items]
            more = (chunk or {}).get("metadata", {}).get("continue") or None
        return found

    async def patch(
        self, kind: Kind, namespace: str | None, name: str, body: Mapping[str, Any], *, status: bool = False
    ) -> dict[str, Any]:
        """See Cluster."""
        _require_whole_condition(body)
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
        return await self._kept_reads.get(CONFIG_MAP.path(namespace, name), since)

    async def secret(self, namespace: str, name: str, since: float = 0.0) -> dict[str, Any] | None:
        """See Cluster."""
        return await self._secret_reads.get(SECRET.path(namespace, name), since)

    async def namespace(self, name: str) -> dict[str, Any] | None:
        """See Cluster."""
        return await self._kept_reads.get(NAMESPACE.path(None, name))

    async def cluster_uid(self) -> str:
        """See Cluster."""
        if not self._uid:
            found = await self.namespace("kube-system")
            if found is None:
                raise NotReady(access.UNREACHABLE, "this cluster has no namespace kube-system to be known by")
            self._uid = found["metadata"]["uid"]
        return self._uid

    async def require_kinds(self, kinds: tuple[Kind, ...] = KINDS) -> None:
        """Raise NotReady, with the next step, unless the API server serves all our kinds."""
        missing = [kind.kind for kind in kinds if kind.plural not in await self._served(kind.root)]
        if missing:
            wanted = ", ".join(missing)
            message = f"the API server does not know {wanted}: install the CRDs first (kubectl apply -f crds/)"
            raise NotReady("CRDsMissing", message)

    async def _served(self, root: str) -> set[str]:
        found = await self._kept_reads.get(root) or {}
        return {resource["name"] for resource in found.get("resources", [])}


def _require_whole_condition(body: Mapping[str, Any]) -> None:
    metadata = body.get("metadata") or {}
    if "uid" in metadata and "resourceVersion" not in metadata:
        message = "a uid without a resourceVersion does not make a write conditional"
        raise ValueError(message)
