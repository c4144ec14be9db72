"""The performance: the samples are applied, and watched until nothing is missing or something has gone wrong."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import httpx

from agentex_dev.demo_board import Board
from agentex_dev.demo_rows import PATHS, Row, row_of
from agentex_dev.errors import DevError, tail
from agentex_dev.progress import Progress

if TYPE_CHECKING:
    from agentex_dev.controlplane import ControlPlane
    from agentex_dev.demo_samples import Samples
    from agentex_dev.demo_stage import Stage
    from agentex_dev.demo_views import View

LONGEST = 240.0
LOOK_EVERY = 1.0


class Performance:
    """One run of the samples on a stage."""

    def __init__(self, stage: Stage, samples: Samples) -> None:
        self._stage = stage
        self._samples = samples
        self.board = Board(samples)

    def begin(self) -> None:
        """Apply the samples as a user would."""
        with Progress("kubectl apply -f samples/demo"):
            applied = self._stage.plane.kubectl("apply", "-f", "-", input=self._samples.text)
        print(f"\n{applied}\nThe operator's log: {self._stage.operator_log}\n", flush=True)
        self.board = Board(self._samples)

    def watch_until_complete(self, view: View, longest: float = LONGEST) -> None:
        """Show the resources until nothing is missing; raise when that takes too long or cannot come any more."""
        while self._look(view).missing:
            self.board.require_previews_to_have_lived()
            if self.board.seconds > longest:
                raise self._too_slow()
            time.sleep(LOOK_EVERY)

    def watch(self, view: View) -> None:
        """Show every change for as long as one likes."""
        while True:
            self._look(view)
            time.sleep(LOOK_EVERY)

    def _look(self, view: View) -> Board:
        self._stage.require_life()
        with contextlib.suppress(httpx.HTTPError):  # no news; if the API server died, the next look says so
            self.board.show(rows_of(self._stage.plane))
            view.show(self.board)
        return self.board

    def _too_slow(self) -> DevError:
        missing = "\n".join(f"  {each}" for each in self.board.missing)
        log = f"The end of {self._stage.operator_log}:\n{tail(self._stage.operator_log)}"
        return DevError(f"After {self.board.seconds:.0f} s these are still missing:\n{missing}\n{log}")


def rows_of(plane: ControlPlane) -> list[Row]:
    """Read every resource of ours in the whole cluster."""
    return [row_of(item) for path in PATHS for item in _items(plane, path)]


def _items(plane: ControlPlane, path: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = plane.get(path).raise_for_status().json()["items"]
    return found
