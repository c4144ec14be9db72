"""Two operators at once, both acting: nothing here may rest on a Lease. And one that is frozen, and wakes up later.

    replicas/build-succeeds/both
    replicas/build-deleted-at-once/frozen 6 at kube PATCH agentbuilds/quote/status #1/after

In the second, the first operator is stopped by SIGSTOP for six seconds, right after its write was answered, while the
second one goes on.
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

SHORT, LONG = 2.0, 6.0      # seconds frozen: less, and more, than the longest life of a create
CREATES_LIVE = 4.0          # that life, as the benches set it; who wakes up later must not send it any more
GATE = ("build-succeeds/both", "preview-edited/both", "build-recreated/both",
        "build-succeeds/frozen 6 at remote POST /v5/builds #1/in")


class Replicas:
    """Both acting in every story; and one frozen at every call of the stories that matter for it."""

    name = "replicas"

    def __init__(self, found: dict[str, Learned]) -> None:
        self._found = found

    def batches(self, scale: Scale) -> Iterable[Sequence[str]]:
        """Each by itself."""
        both = GATE if scale.gate else tuple(f"{story}/both" for story in self._found)
        frozen = () if scale.gate else tuple(self._frozen())
        return [[f"{self.name}/{plan}"] for plan in (*both, *frozen)]

    def run(self, bench: Bench, plans: Sequence[str]) -> Iterator[Ended]:
        """Play each with two operators."""
        for plan in plans:
            _, story, how = plan.split("/", 2)
            with second_operator(bench) as both:
                yield both.played(plan, story, self._found[story], how)

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

    def played(self, plan: str, story: str, found: Learned, how: str) -> Ended:
        """One story with both."""
        cues = [cue_of(how)] if how != "both" else []
        in_time = seconds_of(how) < CREATES_LIVE
        self.frozen_before_a_create = sum(cue.phase == "after" for cue in cues) if in_time else 0
        with self.freezing(seconds_of(how)):
            findings = learned.played(self.bench, story, found, cues, late=seconds_of(how))
        return Ended(plan, findings, reached=all(cue.struck.is_set() for cue in cues))

    def begin(self) -> None:
        """Start the second operator, in the world that the first has found ready."""
        self.director.begin([])
        self.keeper.start()

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


def cue_of(how: str) -> Cue:
    """At which call the first operator is frozen."""
    return Cue.parse(how.partition(" at ")[2])


def seconds_of(how: str) -> float:
    """For how long it is frozen."""
    return float(how.split(" ")[1]) if how.startswith("frozen") else 0.0
