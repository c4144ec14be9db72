"""A whole run, or a part of it: keeps the outcome of every batch, continues from what is kept, and judges the whole."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from tests.faults.programme import whole_run
from tests.faults.programme.batches import Batch, in_order
from tests.faults.programme.kept_outcomes import EndedBatch, KeptOutcomes, references_in, seconds_of
from tests.faults.programme.parts import Part, partition
from tests.faults.programme.plans import Scale
from tests.faults.programme.rbac_audit import Right
from tests.faults.programme.report import Report
from tests.faults.programme.workers import Finished, recording_of
from tests.faults.scenarios.reference import Reference

News = tuple[frozenset[Right], frozenset[Right]]


class Pool(Protocol):
    """The workers as a run sees them; see workers.WorkerPool."""

    def use_references(self, references: Mapping[str, Reference]) -> None:
        """Have the workers use these references from now on."""
        ...

    def record_references(self, scenarios: Iterable[str]) -> Iterable[Finished]:
        """Run these scenarios without faults."""
        ...

    def run(self, batches: Iterable[Batch]) -> Iterable[Finished]:
        """Run these batches."""
        ...


@dataclass(frozen=True)
class Programme:
    """What there is to run: the scenarios to record first, and the batches that follow from their references."""

    scenarios: tuple[str, ...]
    batches: Callable[[Mapping[str, Reference]], Sequence[Batch]]


@dataclass
class ResumableRun:
    """One run of a part. `open_pool` starts the control plane and the workers, and gives them and the audit log's news.

    Each batch is kept as soon as it has ended. What is kept already is not run again, whichever part it was run for.
    """

    programme: Programme
    kept: KeptOutcomes
    part: Part
    scale: Scale
    report: Report
    workers: int
    open_pool: Callable[[], AbstractContextManager[tuple[Pool, Callable[[], News]]]]
    _name: str = field(default_factory=lambda: uuid.uuid4().hex)
    _began: float = field(default_factory=time.monotonic)
    _counted: set[str] = field(default_factory=set)

    def run(self) -> None:
        """Run what is left of the part; then report all parts, and judge the whole once nothing is left of any."""
        self._count(self.kept.read())
        if self.report.total:
            self.report.say(f"{self.report.total} plans of earlier runs are kept in {self.kept.folder}")
        if self._unrecorded() or self._left():
            with self.open_pool() as (pool, news):
                self._record(pool, news)
                pool.use_references(self._references())
                for finished in pool.run(in_order(self._left(), self.workers)):
                    self._keep(finished, news())
        self._close()

    def _record(self, pool: Pool, news: Callable[[], News]) -> None:
        """Record the references that are missing, one run at a time: the plans of all parts are made from them."""
        with self.kept.recording():
            for finished in pool.record_references(self._unrecorded()):
                self._keep(finished, news())

    def _keep(self, finished: Finished, news: News) -> None:
        named = None
        if finished.reference is not None:
            named = (finished.outcomes[0].plan.removeprefix("learn/"), finished.reference)
        used, forbidden = news
        ended = EndedBatch(finished.batch.key, finished.outcomes, finished.calls, used, forbidden, finished.took,
                           self._name, time.monotonic() - self._began, named)
        self.kept.add(ended)
        self._count({ended.key: ended})

    def _count(self, ended: Mapping[str, EndedBatch]) -> None:
        """Report what was not reported yet."""
        for key, one in ended.items():
            if key not in self._counted:
                self._counted.add(key)
                self.report.add(*one.outcomes)

    # --- what is left ---------------------------------------------------------------------------------------------

    def _references(self) -> dict[str, Reference]:
        return references_in(self.kept.read().values())

    def _unrecorded(self) -> list[str]:
        known = self._references()
        return [name for name in self.programme.scenarios if name not in known]

    def _left(self) -> list[Batch]:
        """The batches of this part that are not kept."""
        kept = self.kept.read()
        return [batch for batch in self._parts()[self.part.number - 1] if batch.key not in kept]

    def _parts(self) -> list[list[Batch]]:
        return partition(self.programme.batches(self._references()), self.part.of)

    # --- the end --------------------------------------------------------------------------------------------------

    def _close(self) -> None:
        kept = self.kept.read()
        whole = [batch for part in self._parts() for batch in part]
        keys = [*(recording_of(name).key for name in self.programme.scenarios), *(batch.key for batch in whole)]
        mine = {key: kept[key] for key in keys if key in kept}
        self._count(mine)
        if all(key in kept for key in keys):
            self.report.add(*whole_run.checks(list(mine.values()), self.scale))
        else:
            self._say_what_is_left(kept)
        self.report.close(seconds_of(mine.values()))

    def _say_what_is_left(self, kept: Mapping[str, EndedBatch]) -> None:
        for number, part in enumerate(self._parts(), 1):
            left = sum(len(batch.plans) for batch in part if batch.key not in kept)
            if left:
                wanted = f" PART={Part(number, self.part.of)}" if self.part.of > 1 else ""
                self.report.say(f"left: {left} plans: make test-faults{' FULL=1' if self.scale.full else ''}{wanted}")
        self.report.say("the checks of a whole run follow when nothing is left")
