"""Build logs: a stream of server-sent events, of which the last lines are kept (agentex-api.md §1.6).

    data: {"line":"Step 1/7 : FROM x"}\\n\\n       the documented frame; CRLF, no space, plain text are read too
    : ping      event: x      id: 1      retry: 1   other lines of a frame are ignored
    <end>                                           there is no end mark; a last frame without its blank line counts
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from agentex_operator.agentex.wire import one_line, parsed
from agentex_operator.core.scrubbing import LineScrubber, visible

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_LINE = 64 * 1024  # bytes of one raw line that are kept
LARGEST_STREAM = 64 * 1024 * 1024


class LogTail:
    """Receives the stream in chunks of any size, and keeps the last lines: at most `max_bytes` of UTF-8 together.

    What looks like a credential, and what `redact` finds, is removed before a line is cut to its length: a part of a
    credential is not found any more.
    """

    def __init__(self, max_bytes: int, redact: Callable[[str], str] = str) -> None:
        self._max_bytes, self._redact = max_bytes, redact
        self._lines: deque[str] = deque()
        self._size = 0
        self._rest = b""
        self._left = LARGEST_STREAM
        self._scrubber = LineScrubber()

    def feed(self, chunk: bytes) -> bool:
        """Receive the next bytes; False once 64 MiB were read."""
        *whole, rest = (self._rest + chunk).replace(b"\r", b"\n").split(b"\n")
        for raw in whole:
            self._read_line(raw)
        self._rest = rest[:LONGEST_LINE]
        self._left -= len(chunk)
        return self._left > 0

    def lines(self) -> tuple[str, ...]:
        """The last lines so far, oldest first, without control characters."""
        self._read_line(self._rest)
        self._rest = b""
        return tuple(self._lines)

    def _read_line(self, raw: bytes) -> None:
        if not raw.startswith(b"data:"):
            return
        text = _text(raw.removeprefix(b"data:").strip()[:LONGEST_LINE])
        if text is not None:
            line = one_line(self._scrubber.scrub(self._redact(visible(text))), self._max_bytes)
            self._keep(line.encode()[:self._max_bytes].decode("utf-8", "ignore"))

    def _keep(self, line: str) -> None:
        self._lines.append(line)
        self._size += _size(line)
        while self._size > self._max_bytes and len(self._lines) > 1:
            self._size -= _size(self._lines.popleft())


def _text(payload: bytes) -> str | None:
    """The text of a `data:` field; None for the [DONE] that other services send."""
    if payload == b"[DONE]":
        return None
    value = parsed(payload)
    said = value.get("line") if isinstance(value, dict) else None
    return said if isinstance(said, str) else payload.decode("utf-8", "replace")


def _size(line: str) -> int:
    return len(line.encode()) + 1
