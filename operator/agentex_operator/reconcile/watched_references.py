"""Wakes resources when a ConfigMap that they name changes, and says which resources need not poll what they name.

Secrets are not watched: the operator has no right to list them. What is not watched is polled by the passes.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from agentex_operator.kube.kinds import CONFIG_MAP, SECRET
from agentex_operator.kube.metadata import MetadataReader
from agentex_operator.reconcile.config_map_digests import ConfigMapDigests
from agentex_operator.reconcile.metadata_watch import MetadataWatch
from agentex_operator.reconcile.reference_versions import ReferenceVersions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping

    from agentex_operator.clock import Clock
    from agentex_operator.kube.cluster import KubeCluster
    from agentex_operator.kube.metadata import Change, Name
    from agentex_operator.reconcile.engine import Engine
    from agentex_operator.reconcile.views import Key
    from agentex_operator.settings import Settings


class WatchedReferences:
    """The watches of ConfigMaps: one in each namespace that the settings name, or one for all namespaces."""

    def __init__(self, engine: Engine, cluster: KubeCluster, settings: Settings, clock: Clock,
                 jitter: Callable[[], float]) -> None:
        self._engine, self._cluster = engine, cluster
        self._poll = settings.reference_resync
        self._versions = ReferenceVersions(self._is_named)
        self._digests = ConfigMapDigests()
        reader = MetadataReader(cluster.api, CONFIG_MAP)
        scopes: tuple[str | None, ...] = settings.watch_namespaces or (None,)
        self._watches = {scope: MetadataWatch(reader, self, scope, clock, jitter) for scope in scopes}

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch until the end of the block."""
        tasks = [asyncio.create_task(watch.run(), name="watch of ConfigMaps") for watch in self._watches.values()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def are_watched(self, uid: str) -> bool:
        """Whether the object is woken by a change of every ConfigMap and Secret that it names."""
        return all(self._is_watched(key) for key in self._engine.references(uid))

    def take_read(self, namespace: str, name: str, found: Mapping[str, Any] | None) -> None:
        """Take in a ConfigMap as a pass has read it, or that there is none."""
        version = str(found["metadata"].get("resourceVersion", "")) if found else None
        self._digests.take_read((namespace, name), version)
        if self._versions.take_read((namespace, name), version):
            self._wake((namespace, name))

    def digests(self, namespace: str, name: str) -> MutableMapping[str, str] | None:
        """The digests of values of a ConfigMap, by key, as ConfigMapDigests; None while its changes are not told."""
        watch = self._watch_of(namespace)
        return self._digests.of((namespace, name)) if watch is not None and watch.is_open else None

    # -- what the watches tell (Receiver) --------------------------------------------------------------------------

    def named(self, namespace: str | None) -> frozenset[Name]:
        """The ConfigMaps that resources name."""
        keys = self._engine.referred(CONFIG_MAP.kind, namespace)
        return frozenset((within, name) for _, within, name in keys if within is not None)

    def listed(self, namespace: str | None, asked: frozenset[Name], found: Mapping[Name, str]) -> None:
        """Wake those that name a ConfigMap that changed unseen. No read from before the list is used any more."""
        self._cluster.forget_config_maps()
        self._digests.forget_all()
        for name in self._versions.take_list(asked, found, self.named(namespace)):
            self._wake(name)

    def changed(self, change: Change) -> None:
        """Wake those that name the ConfigMap; their reads must not be older than the change."""
        found = change.object
        self._cluster.forget_config_map(*found.name)
        self._digests.forget(found.name)
        if self._versions.take_change(found.name, None if change.type == "DELETED" else found.resource_version):
            self._wake(found.name)

    def lost(self, namespace: str | None) -> None:
        """Have those that name a ConfigMap poll it from now on."""
        for uid in self._engine.referring(CONFIG_MAP.kind, namespace):
            self._engine.wake_after(uid, self._poll)

    def _wake(self, name: Name) -> None:
        for view in self._engine.dependents(CONFIG_MAP.kind, *name):
            self._engine.wake(view.uid)

    def _is_named(self, name: Name) -> bool:
        return bool(self._engine.dependents(CONFIG_MAP.kind, *name))

    def _is_watched(self, key: Key) -> bool:
        """Whether a change of the object is told; that of every kind but these two is told by kopf's watch."""
        kind, namespace, _ = key
        if kind == CONFIG_MAP.kind:
            watch = self._watch_of(namespace)
            return watch is not None and watch.live
        return kind != SECRET.kind

    def _watch_of(self, namespace: str | None) -> MetadataWatch | None:
        return self._watches.get(namespace) or self._watches.get(None)
