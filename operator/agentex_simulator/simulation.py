"""A world that can be replaced, and the faults that bend calls to it."""

from collections.abc import Callable

from agentex_simulator.clock import Clock
from agentex_simulator.faults import Faults
from agentex_simulator.settings import Settings
from agentex_simulator.world import World


class Simulation:
    """What the network side serves: the present world and the scripted faults. `new_clock` makes that of each world."""

    def __init__(self, settings: Settings, new_clock: Callable[[], Clock] = Clock) -> None:
        self.settings = settings
        self._new_clock = new_clock
        self.world = World(settings, new_clock())
        self.faults = Faults()
        self._open = True

    def reset(self) -> None:
        """Begin again: an empty world, the keys of the settings, no faults."""
        old = self.world
        self.world, self.faults = World(self.settings, self._new_clock()), Faults()
        old.timeline.close()

    def set_clock(self) -> None:
        """Let the clock be as wrong as the faults say."""
        self.world.clock.skew = self.faults.skew()

    async def follow(self) -> None:
        """Let things happen when they are due, through every reset, until closed."""
        while self._open:
            await self.world.timeline.follow()

    def close(self) -> None:
        """Let nothing happen any more."""
        self._open = False
        self.world.timeline.close()
