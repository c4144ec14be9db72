"""Serves /livez (should the process be kept) and /readyz (does the operator look after everything) over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from aiohttp import web

from agentex_operator.core.errors import Unavailable

if TYPE_CHECKING:
    from agentex_operator.clock import Clock
    from agentex_operator.reconcile.engine import Engine

Check = Callable[[], str | None]  # returns None, or a sentence that says what is wrong

LONGEST_LAG = 5.0  # seconds that one turn of the event loop may take
FIRST_PASSES = timedelta(minutes=5)  # after which /readyz waits no more for the first passes of a start
LONGEST_PASS = timedelta(minutes=45)  # longer than uploading the largest context over the slowest line


class Health:
    """A small HTTP server: 200 if every check of the path returns None, else 503 with the sentences of the others."""

    def __init__(self, clock: Clock, live: Mapping[str, Check], ready: Mapping[str, Check]) -> None:
        self._clock = clock
        self._checks = {"/livez": live, "/readyz": ready}
        self._runner = web.AppRunner(self._app(), access_log=None)

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, which the kernel chooses for `port` 0. Raises Unavailable if the port is taken."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host or None, port).start()
        except OSError as error:
            raise Unavailable(f"/livez and /readyz cannot be served: {error.strerror}; choose another address or port "
                              "with --health-host and --health-port") from error
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application()
        app.add_routes([web.get(path, self._respond) for path in self._checks])
        return app

    async def _respond(self, request: web.Request) -> web.Response:
        results = {name: check() for name, check in self._checks[request.path].items()}
        results["event loop"] = await self._lag()
        failed = [f"{name}: {sentence}" for name, sentence in results.items() if sentence]
        response = web.Response(text="\n".join(failed or ["ok"]) + "\n", status=503 if failed else 200)
        response.force_close()  # an idle connection would delay `stop`
        return response

    async def _lag(self) -> str | None:
        before = self._clock.monotonic()
        await asyncio.sleep(0)
        lag = self._clock.monotonic() - before
        return f"takes {lag:.1f} s to come round" if lag > LONGEST_LAG else None


def no_pass_is_stuck(engine: Engine) -> Check:
    """A check that fails once a pass has lasted longer than LONGEST_PASS."""

    def check() -> str | None:
        longest = engine.stats.longest_pass
        return f"one has been running for {longest}" if longest > LONGEST_PASS else None

    return check


def has_started(age: Callable[[], timedelta | None]) -> Check:
    """A check that fails until the watch has started; `age` is `WatchHealth.age`."""
    return lambda: "not started yet" if age() is None else None


def first_passes_have_begun(engine: Engine, clock: Clock) -> Check:
    """A check that fails while objects that were there at the start wait for their first pass.

    It fails for FIRST_PASSES at most: a remote API that does not answer must not keep the operator from being ready.
    """
    end = clock.monotonic() + FIRST_PASSES.total_seconds()

    def check() -> str | None:
        left = engine.stats.not_begun if clock.monotonic() < end else 0
        return f"objects that wait for their first pass since the start: {left}" if left else None

    return check
