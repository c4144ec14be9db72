"""What every part of the pretend world stands on: settings, clock, timeline, chance and ledger."""

import random
import uuid
from dataclasses import dataclass

from agentex_simulator.clock import Clock
from agentex_simulator.ledger import Ledger
from agentex_simulator.settings import Settings
from agentex_simulator.timeline import Action, Timeline


@dataclass(frozen=True)
class Stage:
    """Shared ground, one per world. `chance` is the only source of randomness, so a seed repeats a world."""

    settings: Settings
    clock: Clock
    timeline: Timeline
    chance: random.Random
    ledger: Ledger

    def new_id(self) -> str:
        """A UUID that depends on the seed alone."""
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))

    def scaled(self, seconds: float) -> float:
        """Seconds of work as they are played."""
        return seconds / self.settings.time_scale

    def between(self, span: tuple[float, float]) -> float:
        """A duration inside the span, in seconds before the scale."""
        return self.chance.uniform(*span)

    def later(self, seconds: float, action: Action) -> None:
        """Run `action` after scaled seconds."""
        self.timeline.after(self.scaled(seconds), action)


def new_stage(settings: Settings, clock: Clock) -> Stage:
    """Ground for a fresh world."""
    chance = random.Random(settings.seed)  # noqa: S311 - repeatable worlds, not secrets
    return Stage(settings, clock, Timeline(clock.elapsed), chance, Ledger(clock.now))
