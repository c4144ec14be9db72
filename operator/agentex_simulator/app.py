"""The simulator as a server inside a running event loop."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from agentex_simulator.clock import Clock
from agentex_simulator.control import add_control
from agentex_simulator.endpoints import add_api
from agentex_simulator.settings import Settings
from agentex_simulator.simulation import Simulation

MAX_JSON = 32 * 1024 * 1024
PATIENCE = 0.2


class Simulator:
    """One simulator on one port. `async with Simulator(settings) as simulator: simulator.url`."""

    def __init__(self, settings: Settings | None = None, new_clock: Callable[[], Clock] = Clock) -> None:
        self.settings = settings or Settings()
        self.simulation = Simulation(self.settings, new_clock)
        self.address = ""
        self._runner: web.AppRunner | None = None
        self._follower: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where the API is, prefix included; the base_url of an SDK client."""
        return self.address + self.settings.prefix

    async def start(self) -> str:
        """Listen; returns `url`. OSError when the port is taken."""
        runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=PATIENCE)
        await runner.setup()
        await web.TCPSite(runner, self.settings.host, self.settings.port).start()
        self.address = f"http://{self.settings.host}:{runner.addresses[0][1]}"
        self._runner, self._follower = runner, asyncio.create_task(self.simulation.follow())
        return self.url

    async def stop(self) -> None:
        """Stop listening and end every open connection."""
        self.simulation.close()
        if self._follower is not None:
            await self._follower
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> "Simulator":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=MAX_JSON)
        add_control(application.router, self.simulation)
        add_api(application.router, self.simulation)
        return application
