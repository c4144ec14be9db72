"""ContextLimits on input from outside: how much is read at most, and how a reading thread is told to stop."""

from __future__ import annotations

import contextlib
import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentex_operator.core import reasons
from agentex_operator.core.errors import InvalidInput, Unavailable

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

CHUNK = 256 * 1024  # bytes held at a time while streaming
LARGEST_TEXT = 1024 * 1024  # bytes of a manifest or environments file


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextLimits:
    """Bounds of one context, the number of contexts staged at once, and of looks at addresses. Sizes in bytes.

    `archive` is the vendor's 500 MB, read as 10^6 (agentex-api.md §1.2).
    """

    archive: int = 500_000_000
    unpacked: int = 2_000_000_000
    entries: int = 20_000        # files, links and directories, the implied ones included
    path: int = 1024             # bytes of one path
    depth: int = 100             # levels of directories
    ratio: int = 200             # unpacked to packed, once more than `ratio_from` bytes were unpacked
    ratio_from: int = 64_000_000
    at_once: int = 4
    longest_wait: float = 300.0  # seconds for the others that are staged or looked at before
    kept: int = 500_000_000      # of archives at addresses that are looked at again, until their contexts are staged


def too_large(what: str) -> InvalidInput:
    """The error ContextTooLarge, with what the user can do about it."""
    return InvalidInput(reasons.CONTEXT_TOO_LARGE, f"{what}. Leave out what the image does not need.")


def raise_if_stopped(stop: threading.Event) -> None:
    """Raise Unavailable if `stop` is set: nothing waits for the result any more."""
    if stop.is_set():
        raise Unavailable("Reading the context was stopped.")


@contextlib.contextmanager
def full_disk_is_temporary() -> Iterator[None]:
    """Raises Unavailable for 'no space left': other contexts will free their space."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise Unavailable("The operator's work directory is full; it will try again.") from error
