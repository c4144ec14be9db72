"""Shows that a long step is alive: a live line on a terminal, a line every quarter of a minute elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

ON_A_TERMINAL = 0.5
ELSEWHERE = 15.0


def _nothing() -> str:
    return ""


class Progress:
    """Says what is being done, for how long, and how it ended; `detail` adds what changes meanwhile."""

    def __init__(self, what: str, detail: Callable[[], str] = _nothing, out: TextIO | None = None) -> None:
        self.what = what
        self._detail = detail
        self._out = out or sys.stderr
        self._live = self._out.isatty()
        self._over = threading.Event()
        self._beat = threading.Thread(target=self._keep_saying, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._say(f"{self.what} ...")
        self._beat.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._over.set()
        self._beat.join()
        self._say(f"{self.what}: {'done' if kind is None else 'failed'} in {self.seconds:.0f} s")
        if self._live:
            self._out.write("\n")

    @property
    def seconds(self) -> float:
        """Say how long the step has been running."""
        return time.monotonic() - self._began

    def _keep_saying(self) -> None:
        while not self._over.wait(ON_A_TERMINAL if self._live else ELSEWHERE):
            detail = self._detail()
            self._say(f"{self.what}: {self.seconds:.0f} s{', ' if detail else ''}{detail}")

    def _say(self, line: str) -> None:
        self._out.write(f"\r\033[K{line}" if self._live else f"{line}\n")
        self._out.flush()
