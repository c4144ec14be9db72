"""The entry to build contexts: the present revision of a source, its staged archive, and its manifest."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from agentex_operator.clock import Clock
from agentex_operator.core import reasons
from agentex_operator.core.errors import InvalidInput
from agentex_operator.network.connections import Routes
from agentex_operator.sources.addresses import AddressPolicy
from agentex_operator.sources.download import Downloader
from agentex_operator.sources.kept_archives import KeptArchives
from agentex_operator.sources.limits import ContextLimits, full_disk_is_temporary
from agentex_operator.sources.packed_context import SOURCE_ARCHIVE, in_thread, packed_context
from agentex_operator.sources.registry import BUILT_IN, RegisteredSource, Registry
from agentex_operator.sources.shared_looks import SharedLooks
from agentex_operator.sources.shared_stage import SharedStage, SharedStages, StageRequest
from agentex_operator.sources.slots import SourceSlots
from agentex_operator.sources.source_kind import SourceAccess
from agentex_operator.sources.staging_area import StagingArea

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from agentex_operator.api.build import Context
    from agentex_operator.api.sources import BuildSource
    from agentex_operator.core.calls import Revision
    from agentex_operator.sources.cluster_objects import ObjectReader
    from agentex_operator.sources.source_kind import SourceKind
    from agentex_operator.sources.staging_area import PublishedContext, Staged

_MANIFESTS_KEPT: Final = 16  # manifests in memory, of at most 1 MiB each


class Sources:
    """Resolves, fetches and stages build contexts, a bounded number at a time.

    `cluster` reads ConfigMaps and Secrets. `keep_secret` is called with every credential that is used, and keeps it out
    of the log. `kinds`: the source kinds there are. `allowed_hosts`: HOST:PORTs that may be asked although they are
    private or http. `routes`: how connections are made. `clock`: counts the intervals of sources. Files that a dead
    operator left in `work_dir` are removed at once. Raises OSError for a `work_dir` that cannot be used.
    """

    def __init__(  # noqa: PLR0913 - the ports it works through, and the policy of downloads
        self,
        cluster: ObjectReader,
        work_dir: Path,
        *,
        keep_secret: Callable[[str], None],
        kinds: Iterable[SourceKind[Any]] = BUILT_IN,
        allowed_hosts: frozenset[str] = frozenset(),
        limits: ContextLimits | None = None,
        downloader: Downloader | None = None,
        routes: Routes | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._limits = limits or ContextLimits()
        by = routes or Routes()
        policy = AddressPolicy(frozenset(host.lower() for host in allowed_hosts), by.resolve, by.proxies)
        downloads = downloader or Downloader(policy, trust=by.trust)
        self._registry = Registry(kinds)
        self._area = StagingArea(work_dir)
        kept = KeptArchives(self._area.sources_dir, self._limits.kept)
        looks = SharedLooks(downloads, self._area, kept, clock or Clock(), SourceSlots(self._limits))
        self._access = SourceAccess(cluster, "", downloads, looks, self._limits.archive, keep_secret)
        self._stages = SharedStages(self._area, self._make)
        self._slots = SourceSlots(self._limits)
        self._manifests: OrderedDict[tuple[StageRequest, str], tuple[str, str]] = OrderedDict()

    async def resolve(self, namespace: str, source: BuildSource, since: float = 0.0,
                      waiting: Callable[[], AbstractAsyncContextManager[None]] = nullcontext) -> Revision:
        """The present revision of a source, read after `since` (of the monotonic clock); no I/O for a pinned source.

        A source with an interval is looked at if its last look is older than the interval, or than `since`; a context
        that `waiting` makes is entered while the look is awaited. Raises InvalidInput, NotReady and Unavailable as the
        file of its kind says.
        """
        return await self._registry.find(source).resolve(replace(self._for(namespace, since), waiting=waiting))

    async def stage(self, namespace: str, source: BuildSource, context: Context, expected_agent: str | None,
                    since: float = 0.0) -> Staged:
        """The staged context and its archive; `release` it. `expected_agent`: the agent of the manifest, None: any.

        An unpinned source is read after `since`, of the monotonic clock; one with an interval is as the last look found
        it. Raises InvalidInput, NotReady and Unavailable as the file of its kind, archive.py, stage.py and
        core/manifest.py say.
        """
        request = StageRequest(namespace, source, context, expected_agent)
        return await self._stages.join(request, since, is_pinned=self._registry.find(source).facts.is_pinned)

    async def manifest(self, namespace: str, source: BuildSource, context: Context,
                       since: float = 0.0) -> tuple[str, str]:
        """The working tree hash (hex) and the manifest's text, for an AgentDeployment that takes it from the build.

        The manifests of lately staged revisions are kept, for each namespace. `since` and errors are those of `stage`.
        """
        registered = self._registry.find(source)
        if not registered.facts.has_context:
            raise InvalidInput(reasons.MANIFEST_NOT_FOUND, "The AgentBuild registers an image, which has no manifest. "
                               "Set spec.manifest.inline or spec.manifest.configMapKeyRef.")
        request = StageRequest(namespace, source, context)
        key = (request, (await registered.resolve(self._for(namespace, _oldest(registered, since)))).revision)
        if key in self._manifests:
            return self._manifests[key]
        staged = await self.stage(namespace, source, context, None, since)
        staged.release()
        return staged.context_digest, staged.manifest_text

    def close(self) -> None:
        """Remove everything in the work directory; nothing may be staged afterwards."""
        self._area.close()

    def _for(self, namespace: str, since: float) -> SourceAccess:
        return replace(self._access, namespace=namespace, since=since)

    async def _make(self, stage: SharedStage) -> PublishedContext:
        """Fetch and stage, in one of the slots; the published archive is held once, for the shared stage."""
        request = stage.request
        async with self._slots.taken():
            with full_disk_is_temporary(), self._area.scratch_dir() as scratch:
                stage.fetching = True
                source = self._registry.find(request.source)
                access = self._for(request.namespace, _oldest(source, stage.since))
                revision = await source.fetch(access, scratch / SOURCE_ARCHIVE)
                made = await in_thread(lambda stop: packed_context(scratch, request, revision, self._limits, stop))
                archive = self._area.publish(made.archive, made.digest)
        self._keep_manifest(request, made)
        return replace(made, archive=archive)

    def _keep_manifest(self, request: StageRequest, made: PublishedContext) -> None:
        key = replace(request, agent=None), made.revision
        self._manifests[key] = made.digest, made.manifest_text
        self._manifests.move_to_end(key)
        if len(self._manifests) > _MANIFESTS_KEPT:
            self._manifests.popitem(last=False)


def _oldest(source: RegisteredSource, since: float) -> float:
    """Since when a source is to be read: any time for one with an interval, whose last look is what all build from."""
    return since if source.facts.interval is None else 0.0
