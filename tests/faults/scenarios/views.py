"""The views family: the watch of the operator is late, has gaps, repeats, goes back or breaks off.

Writes and reads by name always reach the API server, so every conflict is a real one (reliability.md §2c). A plan is
one scenario with one distortion (watch_distortion.py): `views/build-edited-running/late=3`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tests.faults.programme.plans import Outcome, Scale
from tests.faults.runner.runner import Runner
from tests.faults.scenarios import reference
from tests.faults.scenarios.catalogue import OF_ANOTHER
from tests.faults.scenarios.reference import Reference
from tests.faults.scenarios.watch_distortion import WatchDistortion

DISTORTIONS = ("late=0.1", "late=1", "late=3", "newest=2", "twice", "back", "once=2", "gone=1", "gone=3", "refused=2",
         "error=2", "torn=1", "torn=4", "silent=3")
GATE = (("build-edited-running", "late=3"), ("build-deleted-running", "newest=2"), ("preview-edited", "back"),
        ("build-succeeds", "gone=3"), ("deployment-edited", "torn=1"), ("build-recreated", "late=1"))


class Views:
    """The views family: every scenario with every distortion; those that take something over with every second one."""

    name = "views"

    def __init__(self, found: dict[str, Reference]) -> None:
        self._found = found

    def batches(self, scale: Scale) -> Iterable[Sequence[str]]:
        """Each plan by itself."""
        pairs = GATE if scale.gate else tuple(self._pairs())
        return [[f"{self.name}/{scenario}/{distortion}"] for scenario, distortion in pairs]

    def _pairs(self) -> Iterator[tuple[str, str]]:
        """Each scenario with its distortions; the scenarios of OF_ANOTHER take turns."""
        turns = {scenario.name: DISTORTIONS[at % 2::2] for at, scenario in enumerate(OF_ANOTHER)}
        for scenario in self._found:
            yield from ((scenario, distortion) for distortion in turns.get(scenario, DISTORTIONS))

    def run(self, runner: Runner, plans: Sequence[str]) -> Iterator[Outcome]:
        """Run each scenario with its distorted watch."""
        for plan in plans:
            _, scenario, distortion = plan.split("/")
            how = WatchDistortion.parse(distortion)
            found = self._found[scenario]
            findings = reference.run_with_faults(runner, scenario, found, watch_filter=how, late=how.late)
            yield Outcome(plan, findings, reached=how.happened)
