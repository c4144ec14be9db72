"""A gzip stream, unpacked in bounded steps: it reads concatenated members, and stops at every limit."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, BinaryIO, Final

from agentex_operator.core import guard, reasons
from agentex_operator.core.errors import InvalidInput
from agentex_operator.sources.limits import CHUNK, ContextLimits, raise_if_stopped, too_large

if TYPE_CHECKING:
    import threading

_MAGIC: Final = b"\x1f\x8b"
_GZIP: Final = 16 + zlib.MAX_WBITS
_MOST_MEMBERS: Final = 100_000      # bgzip writes one per 64 KiB
_HEADERS: Final = 128 * 1024 * 1024  # bytes of tar headers, in addition to the files


class Gunzip:
    """The unpacked bytes of `packed`. At most CHUNK bytes are held at a time, whatever the input.

    Reading raises InvalidInput: CorruptContext for data that is no gzip, is damaged, is cut short or is followed by
    other data; ContextTooLarge for data that unpacks to more than the limits allow.
    """

    def __init__(self, packed: BinaryIO, limits: ContextLimits, stop: threading.Event) -> None:
        self._packed, self._limits, self._stop = packed, limits, stop
        self._waiting = packed.read(CHUNK)
        self._taken, self._given, self._members = len(self._waiting), 0, 0
        self._member: zlib._Decompress | None = None
        _require_gzip(self._waiting)

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size` and at most CHUNK; b"" only at the end."""
        while member := self._member or self._next_member():
            if found := self._step(member, min(size, CHUNK)):
                return self._counted(found)
        return b""

    def _step(self, member: zlib._Decompress, size: int) -> bytes:
        """The next unpacked bytes of the member; possibly none."""
        raise_if_stopped(self._stop)
        with guard.raising(lambda _error: _corrupt("is damaged")):
            found = member.decompress(self._waiting, size)
        self._waiting = member.unconsumed_tail
        if member.eof:
            self._waiting, self._member = member.unused_data, None
        elif not found and not self._waiting:
            self._refill()
        return found

    def _refill(self) -> None:
        self._waiting = self._packed.read(CHUNK)
        self._taken += len(self._waiting)
        if not self._waiting:
            raise _corrupt("ends too early")

    def _next_member(self) -> zlib._Decompress | None:
        """Begin and return the next member; None at the end. Zeros between and after members are padding."""
        self._skip_padding()
        if not self._waiting:
            return None
        if len(self._waiting) < 2:
            self._waiting += self._packed.read(CHUNK)
        self._members += 1
        if not self._waiting.startswith(_MAGIC) or self._members > _MOST_MEMBERS:
            raise _corrupt("is followed by something that is not gzip")
        self._member = zlib.decompressobj(_GZIP)
        return self._member

    def _skip_padding(self) -> None:
        self._waiting = self._waiting.lstrip(b"\0")
        while not self._waiting and (more := self._packed.read(CHUNK)):
            raise_if_stopped(self._stop)
            self._taken += len(more)
            self._waiting = more.lstrip(b"\0")

    def _counted(self, found: bytes) -> bytes:
        self._given += len(found)
        limits = self._limits
        if self._given > limits.unpacked + _HEADERS:
            raise too_large(f"The archive unpacks to more than {limits.unpacked:,} bytes")
        if self._given > limits.ratio_from and self._given > limits.ratio * self._taken:
            raise too_large(f"The archive unpacks to more than {limits.ratio} times its size")
        return found


def _require_gzip(beginning: bytes) -> None:
    if not beginning:
        raise _corrupt("is empty")
    if not beginning.startswith(_MAGIC):
        seems = " but a zip file" if beginning.startswith(b"PK") else ""
        raise _corrupt(f"is not a tar.gz{seems}")


def _corrupt(what: str) -> InvalidInput:
    return InvalidInput(reasons.CORRUPT_CONTEXT, f"The archive {what}. Make it anew, with `tar -czf`.")
