"""The gate of one account: every request passes it, whoever makes it.

Three things hold a request back: the account's rate, the remote's own Retry-After, and the breaker, which refuses
everything here while the remote answers 401 or 403 there, but for one slow probe.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from agentex_operator.core.errors import ExternalError, Rejected, Throttled, Unauthorized


class Ticks(Protocol):
    """What the gate needs of a clock."""

    def monotonic(self) -> float:
        """Seconds that never jump."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let others run for that many seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast an account may be called; `burst` >= 1 requests may come at once."""

    requests_per_second: float = 10.0
    burst: int = 20

    def __post_init__(self) -> None:
        if self.requests_per_second <= 0 or self.burst < 1:
            message = "requestsPerSecond wants more than 0, burst at least 1"
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class Leave:
    """One request let through: under which key, and whether it is the probe of a tripped breaker."""

    key: int
    probe: bool


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What the remote said when the breaker tripped."""

    message: str
    status: int


class Gate:
    """Admission to one account. `probe_every` and `patience` in seconds; all times on the monotonic clock.

    Nobody waits here longer than `patience`: with the longest deadline of a create (600 s) that stays below T_max
    (reliability.md §2.0 P9), which counts from the intent.
    """

    def __init__(self, clock: Ticks, rate: Rate, *, probe_every: float = 60.0, patience: float = 30.0) -> None:
        self._clock = clock
        self._rate = rate
        self._probe_every = probe_every
        self._patience = patience
        self._theoretical = 0.0  # when the next request would come if all came evenly spaced
        self._held_until = 0.0
        self._refused: _Refusal | None = None
        self._probe_at = 0.0
        self._key = 0

    async def admit(self, *, reads: bool) -> Leave:
        """Wait for our turn; `reads`: the request changes nothing, so it may be the probe.

        Raises Throttled while Retry-After lasts or the queue is longer than `patience`, and Unauthorized while the
        breaker is open; in both cases nothing was sent.
        """
        self._refuse_what_is_held()
        self._refuse_what_is_barred(reads)
        await self._take_turn()
        self._refuse_what_is_held()
        return Leave(self._key, self._let_through(reads))

    def heed(self, leave: Leave, error: ExternalError | None) -> None:
        """Learn from how a request ended; what an older key was told does not count."""
        if leave.key != self._key:
            return
        if isinstance(error, Unauthorized):
            self._trip(error)
        elif leave.probe and (error is None or isinstance(error, Rejected)):
            self._refused = None

    def hold(self, wish: timedelta) -> None:
        """No request before this has passed: the remote's own Retry-After."""
        self._held_until = max(self._held_until, self._clock.monotonic() + wish.total_seconds())

    def rekeyed(self) -> None:
        """Another API key: what the old one was told is forgotten."""
        self._key += 1
        self._refused = None

    def adjust(self, rate: Rate) -> None:
        """Another rate from now on."""
        self._rate = rate

    @property
    def held_for(self) -> timedelta:
        """How much of Retry-After is left; zero when none is."""
        return timedelta(seconds=max(0.0, self._held_until - self._clock.monotonic()))

    @property
    def barred_for(self) -> timedelta | None:
        """None while the breaker is closed; else the time until the next probe may go."""
        if self._refused is None:
            return None
        return timedelta(seconds=max(0.0, self._probe_at - self._clock.monotonic()))

    def _trip(self, error: Unauthorized) -> None:
        self._refused = _Refusal(error.message, error.status)
        self._probe_at = self._clock.monotonic() + self._probe_every

    def _refuse_what_is_held(self) -> None:
        if left := self.held_for:
            raise Throttled("The remote asked for a pause, which is not over.", retry_after=left)

    def _refuse_what_is_barred(self, reads: bool) -> None:
        left = self.barred_for
        if self._refused is not None and left is not None and (left or not reads):
            # Word for word what was answered: a message that counts down would be written into every status each time.
            raise Unauthorized(self._refused.message, status=self._refused.status)

    def _let_through(self, reads: bool) -> bool:
        """Whether this request is the probe: one read per interval; others have waited in vain."""
        if self._refused is None:
            return False
        self._refuse_what_is_barred(reads)
        self._probe_at = self._clock.monotonic() + self._probe_every
        return True

    async def _take_turn(self) -> None:
        wait = self._reserve()
        if wait > 0:
            await self._clock.sleep(wait)

    def _reserve(self) -> float:
        """Seconds to wait for the turn taken here (a token bucket, kept as one time: the GCRA)."""
        now, interval = self._clock.monotonic(), 1 / self._rate.requests_per_second
        theoretical = max(self._theoretical, now)
        wait = theoretical - now - (self._rate.burst - 1) * interval
        if wait > self._patience:
            raise Throttled("The account's own request limit is used up.", retry_after=timedelta(seconds=wait))
        self._theoretical = theoretical + interval
        return wait
