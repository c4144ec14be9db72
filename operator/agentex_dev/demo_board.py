"""The board: every resource as last seen, since when, and what is still missing for the demo to be complete."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agentex_dev.errors import DevError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentex_dev.demo_rows import Key, Row
    from agentex_dev.demo_samples import Samples


class Board:
    """Remembers what it was shown: how long each resource took, and which preview was once available."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._began = time.monotonic()
        self._changed_at: dict[Key, float] = {}
        self._were_available: set[Key] = set()
        self.rows: dict[Key, Row] = {}
        self.changes: tuple[Row, ...] = ()
        self.gone: tuple[Key, ...] = ()

    @property
    def seconds(self) -> float:
        """Say how long ago the resources were applied."""
        return time.monotonic() - self._began

    def show(self, rows: Iterable[Row]) -> None:
        """Take the rows of this moment, and keep which of them are new or different, and which are there no more."""
        seen = {row.key: row for row in rows}
        self.changes = tuple(row for key, row in seen.items() if self.rows.get(key) != row)
        self.gone = tuple(key for key in self.rows if key not in seen)
        self.rows = seen
        self._changed_at |= {row.key: self.seconds for row in self.changes}
        self._were_available |= {row.key for row in self.changes if row.available}

    def seconds_of(self, row: Row) -> float:
        """Say how long a resource took to get where it rests; the time until now while it does not rest."""
        return self._changed_at[row.key] if row.is_ready else self.seconds

    @property
    def missing(self) -> tuple[str, ...]:
        """Say what has yet to happen."""
        ready = {key for key, row in self.rows.items() if row.is_ready}
        waiting = [f"{key} ({self._phase(key)})" for key in sorted(self._samples.resources - ready)]
        living = [f"expiry of {key}" for key in sorted(self._samples.previews & ready) if not self.rows[key].expired]
        return (*waiting, *living)

    @property
    def result(self) -> str:
        """Count what happened."""
        ready = sum(row.is_ready for row in self.rows.values())
        expired = sum(self.rows[key].expired for key in self._samples.previews if key in self.rows)
        return f"{ready} resources Ready, {expired} preview{'' if expired == 1 else 's'} expired"

    def require_previews_to_have_lived(self) -> None:
        """Raise when a preview expired that was never seen to be available."""
        for key in self._samples.previews & self.rows.keys() - self._were_available:
            if self.rows[key].expired:
                raise DevError(f"{key} expired without having been available before: {self.rows[key].message}")

    def _phase(self, key: Key) -> str:
        return self.rows[key].phase if key in self.rows else "not there"
