"""The API server's own faults: what a call gets instead of its answer, whether it took effect or not.

    answers/build-runs/kube PATCH agentbuilds/quote/status #1/504-done    the write is done, and said to have timed out
    answers/preview-edited/kube PATCH agentdeployments/quote #1/429=3     busy from here on, for three seconds

The answers are in `director.ANSWERS`: busy, forbidden, failed, a proxy's error page, timed out, broken off, cut short.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle, islice

from tests.faults import learned
from tests.faults.bench import Bench
from tests.faults.calls import KUBE, Call
from tests.faults.director import ANSWERS, Cue
from tests.faults.learned import Learned
from tests.faults.plans import Ended, Scale
from tests.faults.scenarios import STORIES

SPELLS = ("429=3", "503-html=3", "broken=3", "403=3")
GATE = ("build-edited-running", "preview-edited")
GATE_TOO = "answers/build-edited-running/kube PATCH agentexaccounts/default/status #1/500"  # who waits for the account?


class Answers:
    """Every write of every story, answered badly in one way after the other; every call site in all ways; spells."""

    name = "answers"

    def __init__(self, found: dict[str, Learned]) -> None:
        self._found = found

    def batches(self, scale: Scale) -> Iterable[Sequence[str]]:
        """Each by itself; in the gate, the first writes of two stories."""
        if scale.gate:
            return [[GATE_TOO], *([plan] for story in GATE for plan in islice(self._writes(story), 4))]
        stories = [plan for story in self._found for plan in (*self._writes(story), *self._spells(story))]
        return [[plan] for plan in dict.fromkeys((*stories, *self._sites()))]

    def run(self, bench: Bench, plans: Sequence[str]) -> Iterator[Ended]:
        """Play each; nobody dies but where kopf gives up."""
        for plan in plans:
            _, story, fault = plan.split("/", 2)
            cue = Cue.parse(fault)
            findings = learned.played(bench, story, self._found[story], [cue], late=cue.count)
            yield Ended(plan, findings, reached=cue.struck.is_set())

    def _calls(self, story: str) -> list[Call]:
        return [call for call in self._found[story].calls if call.server == KUBE]

    def _writes(self, story: str) -> Iterator[str]:
        """Each story begins with another answer."""
        writes = (call for call in self._calls(story) if call.mutates)
        turns = islice(cycle(ANSWERS), list(STORIES).index(story), None)
        yield from (f"{self.name}/{story}/{call}/{answer}" for call, answer in zip(writes, turns, strict=False))

    def _spells(self, story: str) -> Iterator[str]:
        """In the midst of it, from its second write on."""
        for call in islice((call for call in self._calls(story) if call.mutates), 1, 2):
            yield from (f"{self.name}/{story}/{call}/{spell}" for spell in SPELLS)

    def _sites(self) -> Iterator[str]:
        """Where it is first met, each call site in every way that is possible there."""
        met: set[str] = set()
        for story in self._found:
            for call in self._calls(story):
                if call.site not in met:
                    met.add(call.site)
                    yield from (f"{self.name}/{story}/{call}/{answer}" for answer, bad in ANSWERS.items()
                                if not (bad.done and call.verb == "WATCH"))
