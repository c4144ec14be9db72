"""An orderly stop in the middle of a call, as at every upgrade: SIGTERM, the call goes on, another operator starts.

    stops/build-runs/remote POST /v5/builds #1/in

Whatever was in flight is brought to its end first, so no answer is lost, and nothing has to be explained.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from tests.faults import learned
from tests.faults.bench import Bench
from tests.faults.calls import REMOTE
from tests.faults.director import Cue
from tests.faults.learned import Learned
from tests.faults.plans import Ended, Scale

GATE = ("build-succeeds", "preview-edited")


class Stops:
    """One stop each: at every create and removal of every story, and at its first write."""

    name = "stops"

    def __init__(self, found: dict[str, Learned]) -> None:
        self._found = found

    def batches(self, scale: Scale) -> Iterable[Sequence[str]]:
        """Each by itself; in the gate, two stories."""
        return [[plan] for story in (GATE if scale.gate else self._found) for plan in self._plans(story)]

    def run(self, bench: Bench, plans: Sequence[str]) -> Iterator[Ended]:
        """Play each."""
        for plan in plans:
            _, story, moment = plan.split("/", 2)
            cue = Cue.parse(moment)
            with bench.struck_by(lambda: bench.operator.strike(signal.SIGTERM)):
                findings = learned.played(bench, story, self._found[story], [cue])
            yield Ended(plan, findings, reached=cue.struck.is_set())

    def _plans(self, story: str) -> Iterator[str]:
        mutating = [call for call in self._found[story].calls if call.mutates]
        first = islice((call for call in mutating if call.server != REMOTE), 1)
        for call in (*first, *(call for call in mutating if call.server == REMOTE)):
            yield f"{self.name}/{story}/{call}/in"
