"""The gate of one account, which every request passes: the rate limit, the pause, and the circuit breaker.

Three things delay or refuse a request: the account's rate limit, the remote's Retry-After, and the breaker. While the
remote answers 401 or 403, the breaker refuses every request here, except one probe per interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from agentex_operator.core.errors import ExternalError, Rejected, Throttled, Unauthorized


class MonotonicClock(Protocol):
    """What the gate needs of a clock."""

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let others run for that many seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Rate:
    """The rate limit of an account; `burst` >= 1 requests may come at once. Raises ValueError for other values."""

    requests_per_second: float = 10.0
    burst: int = 20

    def __post_init__(self) -> None:
        if self.requests_per_second <= 0 or self.burst < 1:
            message = "requestsPerSecond wants more than 0, burst at least 1"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class Permit:
    """The permission for one request. `key`: number of the API key at that time. `probe`: it tests an open breaker."""

    key: int
    probe: bool


@dataclass(frozen=True, slots=True)
class _Refusal:
    """The answer of the remote that opened the breaker."""

    message: str
    status: int


class Gate:
    """Admits requests to one account. `probe_every` and `patience` in seconds; all times on the monotonic clock.

    No request waits here longer than `patience`: together with the longest deadline of a create (600 s) that stays
    below T_max (reliability.md §2.0 P9), which counts from the intent.
    """

    def __init__(self, clock: MonotonicClock, rate: Rate, *, probe_every: float = 60.0, patience: float = 30.0) -> None:
        self._clock = clock
        self._rate = rate
        self._probe_every = probe_every
        self._patience = patience
        self._theoretical = 0.0  # when the next request would come if requests were evenly spaced
        self._paused_until = 0.0
        self._refusal: _Refusal | None = None
        self._probe_at = 0.0
        self._key = 0

    async def admit(self, *, reads: bool) -> Permit:
        """Wait for the rate limit, then permit the request. `reads`: the request changes nothing and may be the probe.

        Raises Throttled while Retry-After lasts or the queue is longer than `patience`, and Unauthorized while the
        breaker is open; in both cases no request was sent.
        """
        self._raise_if_paused()
        self._raise_if_open(reads)
        await self._take_turn()
        self._raise_if_paused()
        return Permit(self._key, self._is_probe(reads))

    def record_result(self, permit: Permit, error: ExternalError | None) -> None:
        """Open or close the breaker by the result of a request; results under an older key are ignored."""
        if permit.key != self._key:
            return
        if isinstance(error, Unauthorized):
            self._open(error)
        elif permit.probe and (error is None or isinstance(error, Rejected)):
            self._refusal = None

    def pause(self, duration: timedelta) -> None:
        """Permit no request for this long, as the remote's Retry-After says."""
        self._paused_until = max(self._paused_until, self._clock.monotonic() + duration.total_seconds())

    def change_key(self) -> None:
        """Close the breaker, as the API key is another one; later results under the old key are ignored."""
        self._key += 1
        self._refusal = None

    def set_rate(self, rate: Rate) -> None:
        """Use this rate limit from now on."""
        self._rate = rate

    @property
    def pause_left(self) -> timedelta:
        """The time until Retry-After is over; zero when there is no pause."""
        return timedelta(seconds=max(0.0, self._paused_until - self._clock.monotonic()))

    @property
    def next_probe_in(self) -> timedelta | None:
        """The time until the next probe is permitted; None while the breaker is closed."""
        if self._refusal is None:
            return None
        return timedelta(seconds=max(0.0, self._probe_at - self._clock.monotonic()))

    def _open(self, error: Unauthorized) -> None:
        self._refusal = _Refusal(error.message, error.status)
        self._probe_at = self._clock.monotonic() + self._probe_every

    def _raise_if_paused(self) -> None:
        if left := self.pause_left:
            raise Throttled("The remote asked for a pause, which is not over.", retry_after=left)

    def _raise_if_open(self, reads: bool) -> None:
        left = self.next_probe_in
        if self._refusal is not None and left is not None and (left or not reads):
            # The answer verbatim: a message that counts down would be written into every status each time.
            raise Unauthorized(self._refusal.message, status=self._refusal.status)

    def _is_probe(self, reads: bool) -> bool:
        """Whether this request is the probe, one read per interval. Raises Unauthorized for others while it is open."""
        if self._refusal is None:
            return False
        self._raise_if_open(reads)
        self._probe_at = self._clock.monotonic() + self._probe_every
        return True

    async def _take_turn(self) -> None:
        wait = self._reserve()
        if wait > 0:
            await self._clock.sleep(wait)

    def _reserve(self) -> float:
        """Take the next turn; the seconds to wait for it (a token bucket, kept as one time: the GCRA)."""
        now, interval = self._clock.monotonic(), 1 / self._rate.requests_per_second
        theoretical = max(self._theoretical, now)
        wait = theoretical - now - (self._rate.burst - 1) * interval
        if wait > self._patience:
            raise Throttled("The account's own request limit is used up.", retry_after=timedelta(seconds=wait))
        self._theoretical = theoretical + interval
        return wait
