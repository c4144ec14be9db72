"""A run of the fault programme: the control plane, the workers, and the plans that they take one after the other."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from tests.faults import answers, crash, learned, replicas, rights, stops, views
from tests.faults.answers import Answers
from tests.faults.bench import Bench, Site
from tests.faults.calls import Call
from tests.faults.crash import Crash, Doubles, uncovered
from tests.faults.fuzz import Fuzz
from tests.faults.hostile import Hostile
from tests.faults.learned import Learned
from tests.faults.load import Load
from tests.faults.outages import Outages
from tests.faults.plans import Ended, Family, Scale
from tests.faults.remote import Remote
from tests.faults.replicas import Replicas
from tests.faults.scenarios import STORIES
from tests.faults.site import AUDIT_LOG
from tests.faults.stops import Stops
from tests.faults.transitions import Transitions
from tests.faults.views import Views

from agentex_testkit.judge.findings import Finding, Harm

WORKERS = 10
# Those that go by what each scenario does without faults:
LEARN = {"crash", "doubles", "stops", "views", "answers", "replicas", "outages"}
# The stories that these play in the gate:
GATE = tuple(sorted({*crash.GATE, *stops.GATE, *answers.GATE, *(story for story, _ in views.GATE),
                     *(plan.partition("/")[0] for plan in replicas.GATE)}))
LEAST = {"crash/": 350, "views/": 150, "remote/": 300, "hostile/ssrf/": 60, "hostile/archive/": 40,
         "hostile/yaml/": 15, "fuzz/": 5_000}  # plans that a whole run has
LEAST_IN_FULL = LEAST | {"doubles/": 2_000}
FINDINGS = Path(tempfile.gettempdir()) / "agentex-faults-findings"
MINE: list[Bench] = []   # of a worker process: its bench, once it has one


def families(found: dict[str, Learned]) -> dict[str, Family]:
    """Every family, by name."""
    learned_first: tuple[Family, ...] = (Crash(found), Doubles(found), Stops(found), Views(found), Answers(found),
                                         Replicas(found), Outages(found))
    every = (*learned_first, Remote(), Transitions(), Fuzz(), Hostile(), Load())
    return {family.name: family for family in every}


# --- in a worker ----------------------------------------------------------------------------------------------------


def open_bench(site: Site) -> None:
    """Give this worker its bench."""
    bench = Bench(site, str(os.getpid()))
    MINE.append(bench.__enter__())
    multiprocessing.util.Finalize(bench, bench.__exit__, args=(None, None, None), exitpriority=100)


def learn(name: str) -> tuple[str, Learned, tuple[Finding, ...]]:
    """What a scenario does without faults."""
    return name, *learned.learn(MINE[0], name)


def run_batch(name: str, plans: Sequence[str]) -> list[Ended]:
    """Run a batch of a family; a plan that raises has failed, and says where."""
    family = families(learned.known(MINE[0].site.folder))[name]
    try:
        return [with_log(ended, MINE[0].world.operator.log_path) for ended in family.run(MINE[0], plans)]
    except Exception:  # a bug of the programme must not end the run, and must not pass either
        return [Ended(plan, (Finding("-", traceback.format_exc()[-3000:], Harm.STUCK),)) for plan in plans]


def with_log(ended: Ended, log: Path) -> Ended:
    """Of a plan with findings the operator's log outlives the run: the next plan writes over it, and what depends on
    the moment is not seen again by a replay.
    """
    if not ended.findings or not log.exists():
        return ended
    FINDINGS.mkdir(exist_ok=True)
    kept = FINDINGS / f"{quote(ended.plan, safe='')[:200]}-{os.getpid()}.log"
    return replace(ended, log=Path(shutil.copy(log, kept)))


# --- in the process that leads --------------------------------------------------------------------------------------


@dataclass
class Crew:
    """The workers of one run."""

    site: Site
    pool: ProcessPoolExecutor

    def learn(self, names: Iterable[str] = tuple(STORIES)) -> Iterator[Ended]:
        """Have every scenario played without faults; what is learned is kept for the plans."""
        found: dict[str, Learned] = learned.known(self.site.folder)
        for done in as_completed([self.pool.submit(learn, name) for name in names]):
            name, one, findings = done.result()
            found[name] = one
            yield Ended(f"learn/{name}", findings)
        learned.kept(self.site.folder, found)

    def batches(self, wanted: Iterable[str], scale: Scale, chosen: Callable[[str], bool] = bool,
                most: int | None = None) -> list[tuple[str, list[str]]]:
        """The chosen plans of these families, at most so many batches of each; side by side, for some are heavy."""
        every = families(learned.known(self.site.folder))
        found = {name: spread(every[name].batches(scale), chosen, most) for name in wanted}
        placed = sorted(((at + 0.5) / len(batches), name, at) for name, batches in found.items()
                        for at in range(len(batches)))
        return [(name, found[name][at]) for _, name, at in placed]

    def run(self, batches: Iterable[tuple[str, list[str]]]) -> Iterator[Ended]:
        """Run these."""
        for done in as_completed([self.pool.submit(run_batch, name, plans) for name, plans in batches]):
            yield from done.result()

    def replay(self, name: str, plan: str) -> list[Ended]:
        """One plan of a family, again."""
        return self.pool.submit(run_batch, name, [plan]).result()


def spread(batches: Iterable[Sequence[str]], chosen: Callable[[str], bool], most: int | None) -> list[list[str]]:
    """The batches with the chosen plans; of too many, those at even distances."""
    found = [plans for batch in batches if (plans := [plan for plan in batch if chosen(plan)])]
    step = max(1, len(found) // most) if most else 1
    return found[::step][:most]


def needs_learning(wanted: Iterable[str]) -> bool:
    """Whether any of these families goes by what is learned first."""
    return bool(LEARN & set(wanted))


def after(site: Site, scale: Scale, ran: Sequence[str]) -> Iterator[Ended]:
    """What is judged over a whole run: that it was whole, the operator's rights, and that it was killed wherever it
    calls anything. `ran`: the plans that came to pass.
    """
    few = [Finding("-", f"only {number} plans of {sort}*, of {least}", Harm.OTHER)
           for sort, least in (LEAST_IN_FULL if scale.full else LEAST).items()
           if (number := sum(plan.startswith(sort) for plan in ran)) < least]
    yield Ended("after/whole", tuple(few))
    yield Ended("after/rights", (*rights.forbidden(site.folder / AUDIT_LOG), *rights.unused(site.folder / AUDIT_LOG)))
    faults = [Finding("-", f"no plan kills the operator at: {one}", Harm.OTHER)
              for one in uncovered(ran, calls_seen(site.folder))]
    yield Ended("after/coverage", tuple(faults))


def calls_seen(folder: Path) -> set[Call]:
    """Every sort of call that any operator of this run made, as the directors wrote them down."""
    return {Call.parse(line) for path in folder.glob("*/calls.txt") for line in path.read_text().splitlines()}


@contextmanager
def crew(site: Site, workers: int = WORKERS) -> Iterator[Crew]:
    """The workers, each with a bench of its own."""
    how = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=how, initializer=open_bench, initargs=(site,)) as pool:
        yield Crew(site, pool)


