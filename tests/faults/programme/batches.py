"""The batches of a run: which plans are run together, in which order, and how long each batch is expected to take."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.faults.programme.families import families
from tests.faults.programme.plans import Scale
from tests.faults.remote.family import PLANS
from tests.faults.scenarios.reference import Reference

# Expected seconds of one worker, on two slow cores with ten workers: of a batch, and of each plan in it. Only the
# proportions matter: parts of a run are balanced by them, and long batches are started early by them.
SECONDS: dict[str, tuple[float, float]] = {
    "learn": (0, 18), "crash": (0, 9), "doubles": (0, 12), "stops": (0, 9), "views": (0, 12), "answers": (0, 10),
    "exceptions": (0, 10), "replicas": (0, 15), "outages": (30, 22), "configmaps": (0, 15), "undone": (0, 25),
    "transitions": (45, 0.3), "fuzz": (25, 0.1), "hostile": (1, 0.1), "load": (20, 70), "remote": (70, 1),
}
SECONDS_OF_REMOTE = {"refused": 200, "stalled": 200, "held": 100}  # by setting: the longest wait of its plans


@dataclass(frozen=True)
class Batch:
    """Plans of one family that share a world, and are run together by one worker."""

    family: str
    plans: tuple[str, ...]

    @property
    def key(self) -> str:
        """What kept outcomes of this batch are found by."""
        return hashlib.sha256("\n".join((self.family, *self.plans)).encode()).hexdigest()[:24]

    @property
    def seconds(self) -> float:
        """How long one worker is expected to take."""
        of_batch, of_plan = SECONDS[self.family]
        if self.family == "remote":
            of_batch = SECONDS_OF_REMOTE.get(PLANS[self.plans[0]].setting, of_batch)
        return of_batch + of_plan * len(self.plans)


def batches_of(wanted: Iterable[str], references: Mapping[str, Reference], scale: Scale,
               chosen: Callable[[str], bool] = bool, most: int | None = None) -> list[Batch]:
    """The chosen plans of these families in batches, at most so many batches of each; the same in every process."""
    every = families(dict(references))
    return [Batch(name, tuple(plans)) for name in wanted for plans in spread(every[name].batches(scale), chosen, most)]


def spread(batches: Iterable[Sequence[str]], chosen: Callable[[str], bool], most: int | None) -> list[list[str]]:
    """The batches with the chosen plans; of too many, those at even distances."""
    found = [plans for batch in batches if (plans := [plan for plan in batch if chosen(plan)])]
    step = max(1, len(found) // most) if most else 1
    return found[::step][:most]


def in_order(batches: Sequence[Batch], workers: int) -> list[Batch]:
    """The order in which batches are started: families side by side, and no long batch so late that it ends alone."""
    length = sum(batch.seconds for batch in batches) / workers
    of_family: dict[str, list[Batch]] = {}
    for batch in batches:
        of_family.setdefault(batch.family, []).append(batch)
    starts = [((at + 0.5) / len(found) * max(0.0, length - batch.seconds), batch)
              for found in of_family.values() for at, batch in enumerate(found)]
    return [batch for _, batch in sorted(starts, key=lambda one: (one[0], one[1].family, one[1].plans))]
