"""The one place that reads the clock."""

import time
from datetime import UTC, datetime, timedelta


class Clock:
    """The remote's wall clock, which may be wrong by `skew`, and a steady count of seconds that never jumps."""

    def __init__(self) -> None:
        self.skew = timedelta(0)

    def now(self) -> datetime:
        """The time the remote believes it is, in UTC; stamps and expiry follow it."""
        return datetime.now(UTC) + self.skew  # noqa: TID251 - this is the clock

    def elapsed(self) -> float:
        """Steady seconds since some fixed moment; how long things take is measured with it."""
        return time.monotonic()


def stamp(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC with microseconds, as the API prints times; None stays None."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
