"""The loop of a watch: list, watch from there, and list anew when the watch breaks.

    list ──> live ──> watch ──> ended by the API server: watch on from the last version
      ^                 │
      └── delay <── broken, 410, an older storage, no right

kopf, which watches our own kinds (watch.py), reads whole objects and ends where a right is missing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

from agentex_operator import logs
from agentex_operator.core.errors import ExternalError, Unauthorized, Unavailable
from agentex_operator.kube.metadata import Name
from agentex_operator.reconcile.views import version_number
from agentex_operator.reconcile.work_queue import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentex_operator.clock import Clock
    from agentex_operator.kube.metadata import Change, MetadataReader

log = logs.logger(__name__)

BACKOFF: Final = Backoff(first=timedelta(seconds=0.5), cap=timedelta(minutes=2))
DENIED_DELAY: Final = timedelta(minutes=2)  # from a refusal to the next attempt
SHORTEST_WATCH: Final = 1.0                 # seconds; a watch that ends earlier counts as broken
MOST_FAILURES: Final = 1                    # in a row, after which the watch still counts as live


class Receiver(Protocol):
    """Who is told. `namespace`: the one that is watched, None for all."""

    def named(self, namespace: str | None) -> frozenset[Name]:
        """The objects of interest now; what a list shows of others is not kept."""

    def listed(self, namespace: str | None, asked: frozenset[Name], found: Mapping[Name, str]) -> None:
        """Take in which of `asked`, of interest when the list began, are there, at which resourceVersion."""

    def changed(self, change: Change) -> None:
        """Take in a change: ADDED, MODIFIED or DELETED."""

    def lost(self, namespace: str | None) -> None:
        """Take in that changes are not told any more, until the next list."""


class MetadataWatch:
    """Follows one kind in one namespace, or in all. `live`: changes are told now."""

    def __init__(self, reader: MetadataReader, receiver: Receiver, namespace: str | None, clock: Clock,
                 jitter: Callable[[], float]) -> None:
        self._reader, self._receiver, self._namespace = reader, receiver, namespace
        self._clock, self._jitter = clock, jitter
        self._failures = 0                     # in a row
        self._opened_at: float | None = None   # when the present watch was opened
        self._logged = False                   # whether the log says that this watch is not live
        self.live = False

    @property
    def is_open(self) -> bool:
        """Whether a watch is open at this moment; between two attempts it is not, although changes count as told."""
        return self._opened_at is not None

    async def run(self) -> None:
        """Follow for ever."""
        while True:
            try:
                await self._follow()
            except ExternalError as error:
                delay = self._failed(error)
            except Exception:  # the next attempt comes; without it every change would be found by polling alone
                log.exception("watch of ConfigMaps: this is a bug in the operator")
                delay = self._failed(None)
            await self._clock.sleep(delay.total_seconds())

    async def _follow(self) -> None:
        """List, then watch. Raises an ExternalError when the watch breaks: it never returns."""
        version = await self._list()
        while True:
            version = await self._watch(version)
            if _is_older(await self._reader.storage_version(self._namespace), version):
                raise Unavailable("the API server's storage is older than the watch")

    async def _list(self) -> str:
        """Read what is there; the version of the list."""
        asked, found, version = self._receiver.named(self._namespace), dict[Name, str](), ""
        async for chunk in self._reader.list(self._namespace):
            version = chunk.version
            found.update((one.name, one.resource_version) for one in chunk.objects if one.name in asked)
        self._receiver.listed(self._namespace, asked, found)
        return version

    async def _watch(self, version: str) -> str:
        """Tell the changes after this version until the API server ends the watch; the last version."""
        async with self._reader.watch(self._namespace, version) as changes:
            self._open()
            async for change in changes:
                version = change.object.resource_version or version
                if change.type != "BOOKMARK":
                    self._receiver.changed(change)
        if not self._worked():
            raise Unavailable("the watch ended at once")
        return version

    def _open(self) -> None:
        self._opened_at = self._clock.monotonic()
        if not self.live:
            log.info("ConfigMaps are watched", namespace=self._namespace)
        self.live, self._logged = True, False

    def _worked(self) -> bool:
        """Whether the watch that has ended was open long enough to count as a success; its failures are forgotten."""
        opened_at, self._opened_at = self._opened_at, None
        worked = opened_at is not None and self._clock.monotonic() - opened_at >= SHORTEST_WATCH
        if worked:
            self._failures = 0
        return worked

    def _failed(self, error: ExternalError | None) -> timedelta:
        """Take in the end of a watch or of an attempt; the time to the next attempt."""
        self._worked()
        self._failures += 1
        is_denied = isinstance(error, Unauthorized)
        if is_denied or self._failures > MOST_FAILURES:
            self._lose(error)
        return DENIED_DELAY if is_denied else BACKOFF.delay(self._failures, self._jitter())

    def _lose(self, error: ExternalError | None) -> None:
        if not self._logged:
            log.warning("ConfigMaps are polled instead of watched", namespace=self._namespace,
                        error=error.message if error else "a bug in the operator")
        self._logged = True
        if self.live:
            self.live = False
            self._receiver.lost(self._namespace)


def _is_older(version: str, than: str) -> bool:
    new, old = version_number(version), version_number(than)
    return new is not None and old is not None and new < old
