"""Two operators at once, both acting: nothing here may rest on a Lease. One that sees less, one that wakes up later.

    replicas/build-succeeds/both
    replicas/deployment-follows/second late=3@agentbuilds
    replicas/build-deleted-at-once/frozen 6 at kube PATCH agentbuilds/quote/status #1/after

In the second plan the second operator is shown builds three seconds late, and everything else at once (views.py has the
bends). In the third the first operator is stopped by SIGSTOP for six seconds, right after its write was answered, while
the second one goes on.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tests.faults import learned
from tests.faults.bench import Bench, Keeper
from tests.faults.director import Cue, Director
from tests.faults.learned import Learned
from tests.faults.plans import Ended, Scale
from tests.faults.views import OURS, Bend

from agentex_testkit.api_server import eventually

SHORT, LONG = 2.0, 6.0      # seconds frozen: less, and more, than the longest life of a create
CREATES_LIVE = 4.0          # that life, as the benches set it; who wakes up later must not send it any more
BEHIND = ("first=1", "late=3@agentbuilds", "late=3@agentdeployments")   # how the second one's view is bent
GATE = ("build-succeeds/both", "preview-edited/both", "build-recreated/both", "build-context-changes/second first=1",
        "build-succeeds/frozen 6 at remote POST /v5/builds #1/in")


class Replicas:
    """Both acting in every story; one that sees less, where something is made anew; and one frozen at every call."""

    name = "replicas"

    def __init__(self, found: dict[str, Learned]) -> None:
        self._found = found

    def batches(self, scale: Scale) -> Iterable[Sequence[str]]:
        """Each by itself."""
        both = GATE if scale.gate else tuple(f"{story}/both" for story in self._found)
        more = () if scale.gate else (*self._behind(), *self._frozen())
        return [[f"{self.name}/{plan}"] for plan in (*both, *more)]

    def run(self, bench: Bench, plans: Sequence[str]) -> Iterator[Ended]:
        """Play each with two operators."""
        for plan in plans:
            _, story, how = plan.split("/", 2)
            with second_operator(bench) as both:
                yield both.played(plan, story, self._found[story], how)

    def _behind(self) -> Iterator[str]:
        """Where there is something older to go back to."""
        for story, found in self._found.items():
            if found.creates > 1:
                yield from (f"{story}/second {bend}" for bend in BEHIND)

    def _frozen(self) -> Iterator[str]:
        """Inside each create and removal; and between the write that announces one and the call itself."""
        for story in self._found:
            mutating = [call for call in self._found[story].calls if call.mutates]
            for before, call in zip([None, *mutating], mutating, strict=False):
                for seconds in (SHORT, LONG) if call.server == "remote" else ():
                    yield f"{story}/frozen {seconds:g} at {call}/in"
                    if before is not None and before.server == "kube":
                        yield f"{story}/frozen {seconds:g} at {before}/after"


class Pair:
    """The bench's own operator, which may be frozen, and a second one."""

    def __init__(self, bench: Bench, keeper: Keeper, director: Director) -> None:
        self.bench, self.keeper, self.director = bench, keeper, director
        self.frozen_before_a_create = 0
        self.view: Bend | None = None    # how the second one's is bent

    def played(self, plan: str, story: str, found: Learned, how: str) -> Ended:
        """One story with both."""
        cues, self.view = cues_of(how), view_of(how)
        in_time = seconds_of(how) < CREATES_LIVE
        self.frozen_before_a_create = sum(cue.phase == "after" for cue in cues) if in_time else 0
        late = max(seconds_of(how), self.view.late if self.view else 0)
        with self.freezing(seconds_of(how)):
            findings = learned.played(self.bench, story, found, cues, late=late)
        return Ended(plan, findings, reached=all(cue.struck.is_set() for cue in cues))

    def begin(self) -> None:
        """Start the second operator, in the world that the first has found ready; it watches, and lists no more."""
        self.director.begin([], view=self.view)
        self.keeper.start()
        eventually(self._watched, lambda watched: watched >= set(OURS), 40)

    def _watched(self) -> set[str]:
        return {call.what for call in tuple(self.director.trace) if call.verb == "WATCH"}

    @property
    def log(self) -> str:
        """What the second operator said."""
        return self.keeper.operator.log

    def ambiguous(self) -> int:
        """How many creates one of the two could not know of: the second one's, and of one frozen for a moment."""
        return self.director.ambiguous() + self.frozen_before_a_create

    @contextmanager
    def freezing(self, seconds: float) -> Iterator[None]:
        """While this lasts, a cue freezes the first operator for so long, instead of killing it."""
        timers: list[threading.Timer] = []

        def strike() -> None:
            self.bench.operator.strike(signal.SIGSTOP)
            timers.append(threading.Timer(seconds, self.bench.operator.strike, [signal.SIGCONT]))
            timers[-1].start()

        with self.bench.struck_by(strike):
            yield
        for timer in timers:
            timer.join()


@contextmanager
def second_operator(bench: Bench) -> Iterator[Pair]:
    """A second operator for the bench, through a director of its own; started by `Pair.begin`."""
    with ExitStack() as stack:
        director = Director(lambda: None)
        stack.callback(director.close)
        operator = bench.an_operator(director)
        stack.callback(operator.end)
        keeper = Keeper(operator)
        stack.callback(keeper.end)
        bench.beside = Pair(bench, keeper, director)
        yield bench.beside
        bench.beside = None
        bench.director.sites = {**director.sites, **bench.director.sites}


def cues_of(how: str) -> list[Cue]:
    """At which call the first operator is frozen, if it is."""
    return [Cue.parse(how.partition(" at ")[2])] if how.startswith("frozen") else []


def view_of(how: str) -> Bend | None:
    """How the second operator's view is bent, if it is."""
    return Bend.parse(how.removeprefix("second ")) if how.startswith("second ") else None


def seconds_of(how: str) -> float:
    """For how long it is frozen."""
    return float(how.split(" ")[1]) if how.startswith("frozen") else 0.0
