"""Looks at addresses whose content may change: each is asked once an interval, for all resources that name it.

A look is a conditional request where the server gives a validator, else a download; the digest of the content is the
revision. A look that fails leaves what was found before, and its error is raised until the next one may begin.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from agentex_operator.core.errors import ExternalError, Unavailable
from agentex_operator.sources.limits import full_disk_is_temporary
from agentex_operator.sources.validators import Validators

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from agentex_operator.clock import Clock
    from agentex_operator.sources.download import Downloader, DownloadRequest
    from agentex_operator.sources.kept_archives import KeptArchives
    from agentex_operator.sources.slots import SourceSlots
    from agentex_operator.sources.staging_area import StagingArea

_EARLY: Final = 1.0           # seconds by which a pass may come before the interval is over
_AFTER_A_FAILURE: Final = 30.0  # seconds from a look that failed to the next one
_UNUSED: Final = 600.0        # seconds that an address is remembered at least
_ARCHIVE: Final = "archive"


@dataclass(frozen=True, slots=True)
class LookRequest:
    """What to look at, and how often: every `interval` seconds. The look must begin after `since` (monotonic)."""

    download: DownloadRequest
    interval: float
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Content:
    """The digest of the content of an address. `due`: the seconds until the next look."""

    digest: str
    due: float


@dataclass(slots=True, eq=False)
class _Look:
    """A look under way. `waiting`: how many wait for it."""

    started_at: float
    task: asyncio.Task[None] = field(init=False)
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a look ended: `error`, or None if the content was found."""

    started_at: float = -math.inf
    ended_at: float = -math.inf
    error: ExternalError | None = None

    def can_serve(self, since: float, ended_since: float) -> bool:
        """Whether the look began after `since` and ended after `ended_since`."""
        return self.started_at >= since and self.ended_at >= ended_since


@dataclass(slots=True, eq=False)
class _Address:
    """What is known of an address. `found`: the last look that found content; `failed`: one that failed after it."""

    digest: str = ""
    validators: Validators = field(default_factory=Validators)
    found: _Outcome = field(default_factory=_Outcome)
    failed: _Outcome = field(default_factory=_Outcome)
    look: _Look | None = None
    remembered_until: float = 0.0


class SharedLooks:
    """Looks at addresses, as many at the same time as there are `slots`; what they download is kept in `kept`."""

    def __init__(self, downloader: Downloader, area: StagingArea, kept: KeptArchives, clock: Clock,
                 slots: SourceSlots) -> None:
        self._downloader = downloader
        self._area = area
        self._kept = kept
        self._clock = clock
        self._slots = slots
        self._addresses: dict[DownloadRequest, _Address] = {}

    async def content(self, request: LookRequest,
                      waiting: Callable[[], AbstractAsyncContextManager[None]] = nullcontext) -> Content:
        """The content of the address, found by a look that is not older than the interval.

        `waiting` makes a context that is entered while a look is awaited. Raises as Downloader.download does, the same
        error to all until the next look begins.
        """
        address, now = self._address(request), self._clock.monotonic()
        found_since = now - request.interval + _EARLY
        failed_since = now - min(_AFTER_A_FAILURE, request.interval) + _EARLY
        while not address.found.can_serve(request.since, found_since):
            if address.failed.error is not None and address.failed.can_serve(request.since, failed_since):
                raise address.failed.error.with_traceback(None)
            async with waiting():
                await self._join(address, request.download)
        return Content(address.digest, address.found.ended_at + request.interval - self._clock.monotonic())

    async def copy(self, request: LookRequest, out: Path) -> str:
        """Write the content to the new file `out`; its digest. Raises as `content` does."""
        digest = (await self.content(request)).digest
        if not self._kept.link(digest, out):
            address = self._address(request)
            address.validators, address.found = Validators(), _Outcome()
            digest = (await self.content(request)).digest
            if not self._kept.link(digest, out):
                raise Unavailable("The archive was removed to make room for others. It is tried again.")
        return digest

    def _address(self, request: LookRequest) -> _Address:
        """What is known of the address of the request; what no source has asked for lately is forgotten."""
        now = self._clock.monotonic()
        address = self._addresses.get(request.download)
        if address is None:
            self._addresses = {key: one for key, one in self._addresses.items()
                               if one.look is not None or one.remembered_until >= now}
            address = self._addresses[request.download] = _Address()
        address.remembered_until = max(address.remembered_until, now + 2 * request.interval + _UNUSED)
        return address

    async def _join(self, address: _Address, request: DownloadRequest) -> None:
        """Wait for the look under way, or for a new one. If the last one that waits is cancelled, so is the look."""
        look = address.look
        if look is None:
            look = address.look = _Look(self._clock.monotonic())
            look.task = asyncio.ensure_future(self._look(address, look, request))
        look.waiting += 1
        try:
            await asyncio.shield(look.task)
        finally:
            look.waiting -= 1
            if not look.waiting and not look.task.done():
                self._end(address, look)
                look.task.cancel()

    async def _look(self, address: _Address, look: _Look, request: DownloadRequest) -> None:
        """Look, and write down how the look ended."""
        try:
            async with self._slots.taken():
                await self._ask(address, request)
        except ExternalError as error:
            address.failed = _Outcome(look.started_at, self._clock.monotonic(), error)
        else:
            address.found, address.failed = _Outcome(look.started_at, self._clock.monotonic()), _Outcome()
        finally:
            self._end(address, look)

    def _end(self, address: _Address, look: _Look) -> None:
        if address.look is look:
            address.look = None

    async def _ask(self, address: _Address, request: DownloadRequest) -> None:
        """Ask for the content, unless it is the same as before, and keep it. Raises as Downloader.download does."""
        with full_disk_is_temporary(), self._area.scratch_dir() as scratch:
            found = await self._downloader.download(replace(request, unless=address.validators), scratch / _ARCHIVE)
            if found is not None:
                self._kept.keep(scratch / _ARCHIVE, found.digest)
                address.digest, address.validators = found.digest, found.validators
