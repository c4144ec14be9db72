"""Making the archive of a build context from the archive of a source: unpack, choose the files, pack. Blocking."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Final, TypeVar

from agentex_operator.core.manifest import Manifest
from agentex_operator.sources.archive import read_tree
from agentex_operator.sources.packing import pack, staging_hash
from agentex_operator.sources.stage import read_texts, stage
from agentex_operator.sources.staging_area import PublishedContext
from agentex_operator.sources.tree import Blobs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agentex_operator.sources.limits import ContextLimits
    from agentex_operator.sources.shared_stage import StageRequest

SOURCE_ARCHIVE: Final = "source.tar.gz"
_PACKED: Final = "packed.tar.gz"

Result = TypeVar("Result")


def packed_context(scratch: Path, request: StageRequest, revision: str, limits: ContextLimits, stop: threading.Event
                   ) -> PublishedContext:
    """The context of the source archive in the scratch directory, packed beside it.

    Raises InvalidInput as archive.py, stage.py and core/manifest.py say, and Unavailable once `stop` is set.
    """
    with closing(Blobs(scratch / "blobs")) as blobs:
        with (scratch / SOURCE_ARCHIVE).open("rb") as packed:
            root = read_tree(packed, blobs, limits, stop)
        (scratch / SOURCE_ARCHIVE).unlink()
        texts = read_texts(root, blobs, request.context.path, request.context.manifest)
        staging = stage(texts, Manifest.parse(texts.manifest, request.agent), request.context, blobs, limits)
        size = pack(staging, blobs, scratch / _PACKED, limits.archive, stop)
    return PublishedContext(revision, staging_hash(staging), scratch / _PACKED, size, texts.manifest,
                            texts.environments)


async def in_thread(work: Callable[[threading.Event], Result]) -> Result:
    """The result of blocking work in a thread. On cancellation, tells the thread to stop and waits until it has."""
    stop = threading.Event()
    running = asyncio.ensure_future(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait({running})
        if not running.cancelled():
            running.exception()  # retrieved: nothing waits for it any more
        raise
