"""The simulator in a thread of its own, for tests that do not run an event loop."""

import asyncio
import threading
from collections.abc import Callable

from agentex_simulator.app import Simulator
from agentex_simulator.client import SimulatorClient
from agentex_simulator.clock import Clock
from agentex_simulator.settings import Settings

PATIENCE = 30


class SimulatorThread(SimulatorClient):
    """`with SimulatorThread(settings) as simulator:` gives `.url`, `.ledger()`, `.fault(...)` and the rest.

    `new_clock` makes the clock of each world; a clock that a test moves needs `run_due` afterwards.
    """

    def __init__(self, settings: Settings | None = None, new_clock: Callable[[], Clock] = Clock) -> None:
        super().__init__("")
        self.simulator = Simulator(settings, new_clock)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="agentex-simulator", daemon=True)

    @property
    def url(self) -> str:
        """Where the API is, prefix included; the base_url of an SDK client."""
        return self.simulator.url

    def start(self) -> str:
        """Listen; returns `url`. OSError when the port is taken."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.simulator.start(), self._loop).result(PATIENCE)
        self.address = self.simulator.address
        return self.url

    def stop(self) -> None:
        """Stop and leave nothing behind; a stopped one cannot be started again."""
        asyncio.run_coroutine_threadsafe(self.simulator.stop(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def run_due(self) -> None:
        """Let everything happen that is due by the clock of the present world."""

        async def run() -> None:
            self.simulator.simulation.world.timeline.run_due()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(PATIENCE)

    def __enter__(self) -> "SimulatorThread":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
