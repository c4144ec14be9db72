"""The one door to build contexts: what version a source has, its staged archive, its manifest."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import OrderedDict
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeVar

from agentex_operator.core import reasons
from agentex_operator.core.errors import InvalidInput
from agentex_operator.core.manifest import Manifest
from agentex_operator.core.plan import Revision
from agentex_operator.sources.addresses import AddressPolicy
from agentex_operator.sources.archive import read_tree
from agentex_operator.sources.http import Downloader, Wanted
from agentex_operator.sources.limits import Limits, full_disk_is_passing
from agentex_operator.sources.packing import pack, staging_hash
from agentex_operator.sources.references import References, authorization, config_map_bytes, secret_bytes
from agentex_operator.sources.stage import read_texts, stage
from agentex_operator.sources.tree import Blobs
from agentex_operator.sources.workshop import Finished, Staged, Workshop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agentex_operator.api.build import BuildSource, Context, HttpSource

_SOURCE: Final = "source.tar.gz"
_PACKED: Final = "packed.tar.gz"
_REMEMBERED: Final = 16  # manifests kept, of at most 1 MiB each

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Order:
    """What is asked for; equal orders are worked on once, where what is fetched is fresh enough for both."""

    namespace: str
    source: BuildSource
    context: Context
    agent: str | None = None


class Sources:
    """Resolves, fetches and stages build contexts, a bounded number at a time.

    `cluster` reads ConfigMaps and Secrets. `allowed_hosts` are HOST:PORTs that may be asked though private or http.
    `keep_secret` is told every credential that is used: it keeps it out of the log.
    What an operator that died left in `work_dir` is removed at once. Raises OSError where `work_dir` cannot be used.
    """

    def __init__(
        self,
        cluster: References,
        work_dir: Path,
        *,
        keep_secret: Callable[[str], None],
        allowed_hosts: frozenset[str] = frozenset(),
        limits: Limits | None = None,
        downloader: Downloader | None = None,
    ) -> None:
        self._cluster, self._limits, self._keep_secret = cluster, limits or Limits(), keep_secret
        policy = AddressPolicy(frozenset(host.lower() for host in allowed_hosts))
        self._downloader = downloader or Downloader(policy)
        self._workshop = Workshop(work_dir)
        self._places = asyncio.Semaphore(self._limits.at_once)
        self._flights: dict[_Order, _Flight] = {}
        self._manifests: OrderedDict[tuple[_Order, str], tuple[str, str]] = OrderedDict()

    async def resolve(self, namespace: str, source: BuildSource, since: float = 0.0) -> Revision:
        """Which version of a source there is, or was a moment ago but not before `since` (of the monotonic clock).

        An http source and an image are pinned: no I/O. Raises as references.py says.
        """
        if source.http is not None:
            return Revision(source.http.digest, source.http.digest)
        if source.image is not None:
            return Revision(source.image.url)
        digest = _revision(await self._bytes(namespace, source, since))
        return Revision(digest, digest)

    async def stage(self, namespace: str, source: BuildSource, context: Context, expected_agent: str | None,
                    since: float = 0.0) -> Staged:
        """The staged context and its archive; `release` it. `expected_agent` is whom the manifest must be for.

        A ConfigMap or Secret was read after `since`, of the monotonic clock. Raises InvalidInput, NotReady and
        Unavailable as references.py, http.py, archive.py, stage.py and core/manifest.py say.
        """
        order = _Order(namespace, source, context, expected_agent)
        flight = self._flights.get(order)
        if flight is None or not flight.can_serve(since):
            flight = self._flights[order] = _Flight(order)
            flight.task = asyncio.create_task(self._finish(flight))
        flight.since = max(flight.since, since)
        flight.waiting += 1
        try:
            return self._workshop.hold(await asyncio.shield(flight.task))
        finally:
            self._leave(order, flight)

    async def manifest(self, namespace: str, source: BuildSource, context: Context,
                       since: float = 0.0) -> tuple[str, str]:
        """The working tree hash (hex) and the manifest's text, for an AgentDeployment that takes it from the build.

        What was staged lately of this version for this namespace is remembered. `since` and errors as of `stage`.
        """
        if source.image is not None:
            raise InvalidInput(reasons.MANIFEST_NOT_FOUND, "The AgentBuild registers an image, which has no manifest. "
                               "Set spec.manifest.inline or spec.manifest.configMapKeyRef.")
        order = _Order(namespace, source, context)
        known = (order, (await self.resolve(namespace, source, since)).revision)
        if known in self._manifests:
            return self._manifests[known]
        staged = await self.stage(namespace, source, context, None, since)
        staged.release()
        return staged.context_digest, staged.manifest_text

    def close(self) -> None:
        """Remove all that lies in the work directory; nothing may be staged any more."""
        self._workshop.close()

    # --- one staging ------------------------------------------------------------------------------------------------

    async def _finish(self, flight: _Flight) -> Finished:
        """Fetch and stage, with one of the places; the finished archive is held once, for the flight."""
        order = flight.order
        async with self._places:
            with full_disk_is_passing(), self._workshop.bench() as bench:
                flight.fetching = True
                revision = await self._fetch(order, bench / _SOURCE, flight.since)
                made = await _in_thread(lambda stop: _make(bench, order, revision, self._limits, stop))
                place = self._workshop.shelve(made.archive, made.digest)
        self._remember(order, made)
        return replace(made, archive=place)

    async def _fetch(self, order: _Order, out: Path, since: float) -> str:
        """Write the source's archive; its revision."""
        if order.source.http is not None:
            return await self._download(order.namespace, order.source.http, out)
        content = await self._bytes(order.namespace, order.source, since)
        _write(out, content)
        return _revision(content)

    async def _download(self, namespace: str, http: HttpSource, out: Path) -> str:
        header = await self._authorization(namespace, http.secret_ref.name) if http.secret_ref else None
        await self._downloader.download(Wanted(http.url, http.digest, self._limits.archive, header), out)
        return http.digest

    async def _authorization(self, namespace: str, secret: str) -> str:
        return await authorization(self._cluster, namespace, secret, self._keep_secret)

    async def _bytes(self, namespace: str, source: BuildSource, since: float = 0.0) -> bytes:
        if source.config_map is not None:
            return (await config_map_bytes(self._cluster, namespace, source.config_map, since)).content
        if source.secret is not None:
            return (await secret_bytes(self._cluster, namespace, source.secret, since)).content
        raise InvalidInput(reasons.INVALID_SPEC, "The source has no build context. Set spec.source.configMap, "
                                                 "spec.source.secret or spec.source.http.")

    def _remember(self, order: _Order, made: Finished) -> None:
        key = _Order(order.namespace, order.source, order.context), made.revision
        self._manifests[key] = made.digest, made.manifest_text
        self._manifests.move_to_end(key)
        if len(self._manifests) > _REMEMBERED:
            self._manifests.popitem(last=False)

    def _leave(self, order: _Order, flight: _Flight) -> None:
        """One waiter less; the last one ends the flight."""
        flight.waiting -= 1
        if flight.waiting:
            return
        if self._flights.get(order) is flight:
            del self._flights[order]
        if flight.task.done():
            self._put_back(flight.task)
        else:
            flight.task.add_done_callback(self._put_back)
            flight.task.cancel()

    def _put_back(self, task: asyncio.Task[Finished]) -> None:
        """Let go of what the flight itself held; its error was raised to those who waited."""
        if not task.cancelled() and task.exception() is None:
            self._workshop.put_back(task.result().archive)


@dataclass(slots=True, eq=False)
class _Flight:
    """One staging under way, and how many wait for it. A ConfigMap or Secret is read after `since`."""

    order: _Order
    since: float = 0.0
    fetching: bool = False
    waiting: int = 0
    task: asyncio.Task[Finished] = field(init=False)

    def can_serve(self, since: float) -> bool:
        """Whether what it will have fetched is fresh enough; what is pinned by its digest always is."""
        return self.order.source.http is not None or not self.fetching or self.since >= since


def _revision(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _make(bench: Path, order: _Order, revision: str, limits: Limits, stop: threading.Event) -> Finished:
    """Take the archive on the bench apart, stage it, and pack the result beside it. Blocking."""
    with closing(Blobs(bench / "blobs")) as blobs:
        with (bench / _SOURCE).open("rb") as packed:
            root = read_tree(packed, blobs, limits, stop)
        (bench / _SOURCE).unlink()
        texts = read_texts(root, blobs, order.context.path, order.context.manifest)
        staging = stage(texts, Manifest.parse(texts.manifest, order.agent), blobs, limits)
        size = pack(staging, blobs, bench / _PACKED, limits.archive, stop)
    return Finished(revision, staging_hash(staging), bench / _PACKED, size, texts.manifest, texts.environments)


async def _in_thread(work: Callable[[threading.Event], Result]) -> Result:
    """The result of blocking work. Cancelled, it tells the thread to stop and waits until it has."""
    stop = threading.Event()
    running = asyncio.ensure_future(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait({running})
        if not running.cancelled():
            running.exception()  # seen: nobody waits for it any more
        raise
