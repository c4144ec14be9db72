"""Finds that the API server's storage was put back to an older copy, which leaves the cache newer than the cluster.

An etcd that is restored from a backup goes back to lower resourceVersions. The cache keeps the newest view of an
object: it would ignore changes until the versions have caught up, and keep objects that are no more. A new process
reads everything anew, and its passes find what is remote by the ownership tokens. So the operator ends.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from agentex_operator import logs
from agentex_operator.core.errors import ExternalError, Unavailable
from agentex_operator.reconcile.views import version_number

if TYPE_CHECKING:
    from agentex_operator.clock import Clock
    from agentex_operator.kube.cluster import Cluster
    from agentex_operator.kube.kinds import Kind
    from agentex_operator.reconcile.engine import Engine
    from agentex_operator.reconcile.views import View

log = logs.logger(__name__)

INTERVAL: Final = timedelta(seconds=30)  # between two checks; a check is one short list of each kind


class StorageCheck:
    """Compares the cache with the API server: at intervals, and at once when a list shows an older object.

    `namespace`: the one in which kinds with namespaces are listed, None for all.
    """

    def __init__(self, engine: Engine, cluster: Cluster, clock: Clock, kinds: tuple[Kind, ...],
                 namespace: str | None) -> None:
        self._engine, self._cluster, self._clock = engine, cluster, clock
        self._kinds = {kind.kind: kind for kind in kinds}
        self._namespace = namespace
        self._suspects: dict[str, View] = {}
        self._due = asyncio.Event()
        engine.on_older_listed(self._suspect)

    async def run(self) -> None:
        """Check for ever. Raises Unavailable once the storage is older than what was read from it.

        An API server that cannot be read is asked again later.
        """
        while True:
            timer = self._clock.call_later(INTERVAL.total_seconds(), self._due.set)
            await self._due.wait()
            timer.cancel()
            self._due.clear()
            for evidence in [await self._checked(kind) for kind in self._kinds.values()]:
                if evidence:
                    raise Unavailable(f"{evidence}: the API server's storage was restored from an older copy. The "
                                      "operator ends, so that its next start reads everything anew")

    def _suspect(self, listed: View) -> None:
        self._suspects[listed.uid] = listed
        self._due.set()

    async def _checked(self, kind: Kind) -> str | None:
        try:
            return await self._older_object(kind) or await self._older_list(kind)
        except ExternalError as error:
            log.debug("the storage is not checked", kind=kind.kind, error=error.message)
            return None
        except Exception:  # the next check comes; without it the operator could go blind
            log.exception("the storage is not checked", kind=kind.kind)
            return None

    async def _older_object(self, kind: Kind) -> str | None:
        """Read the suspects of this kind live: a list that was read before our last write shows them older, too."""
        for listed in [one for one in self._suspects.values() if one.kind == kind.kind]:
            known = self._engine.view(listed.uid)
            found = await self._cluster.get(kind, listed.namespace, listed.name)
            metadata = (found or {}).get("metadata", {})
            version = str(metadata.get("resourceVersion", ""))
            if known and metadata.get("uid") == listed.uid and _is_lower(version, known.resource_version):
                return f"{kind.kind} {listed.name} has version {version}, after {known.resource_version} was read"
            self._suspects.pop(listed.uid, None)
        return None

    async def _older_list(self, kind: Kind) -> str | None:
        """Compare the version of a live list with the newest version that was in the cache before the list was sent."""
        known = self._engine.newest_version(kind.kind)
        if not known:
            return None
        version = await self._cluster.storage_version(kind, self._namespace if kind.namespaced else None)
        if _is_lower(version, str(known)):
            return f"{kind.plural} are listed at version {version}, after {known} was read"
        return None


def _is_lower(version: str, than: str) -> bool:
    new, old = version_number(version), version_number(than)
    return new is not None and old is not None and new < old
