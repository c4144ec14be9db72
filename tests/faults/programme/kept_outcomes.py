"""Outcomes of a whole run, kept on disk batch by batch, so that a killed run continues where it stopped.

One line of JSON for each batch that has ended, appended at once. A line that was cut off when the run was killed is
ignored, and its batch is run again.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.programme.plans import Outcome
from tests.faults.programme.rbac_audit import Right
from tests.faults.scenarios.reference import Reference

from agentex_testkit.fault_proxy.calls import Call
from agentex_testkit.judge.findings import Finding, Harm


@dataclass(frozen=True)
class EndedBatch:
    """What is kept of one batch.

    `calls`: one call of each call site that the worker's operators have used so far; `used` and `forbidden`: rights
    that were first seen in the audit log since the batch before; `took`: seconds of the worker; `run` and `seconds`:
    the run of the programme, and how long it had taken by then; `reference`: what was recorded of a scenario.
    """

    key: str
    outcomes: tuple[Outcome, ...]
    calls: frozenset[Call] = frozenset()
    used: frozenset[Right] = frozenset()
    forbidden: frozenset[Right] = frozenset()
    took: float = 0.0
    run: str = ""
    seconds: float = 0.0
    reference: tuple[str, Reference] | None = None

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "key": self.key, "took": round(self.took, 1), "run": self.run, "seconds": round(self.seconds, 1),
            "outcomes": [_outcome_as_json(one) for one in self.outcomes], "calls": sorted(map(str, self.calls)),
            "used": sorted(map(list, self.used)), "forbidden": sorted(map(list, self.forbidden)),
            "reference": [self.reference[0], self.reference[1].as_json()] if self.reference else None,
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> EndedBatch:
        """From plain values. Raises KeyError, ValueError or TypeError where they are none of ours."""
        reference = found["reference"]
        return cls(
            key=found["key"], took=found["took"], run=found["run"], seconds=found["seconds"],
            outcomes=tuple(map(_outcome_from_json, found["outcomes"])),
            calls=frozenset(map(Call.parse, found["calls"])),
            used=frozenset((group, what, verb) for group, what, verb in found["used"]),
            forbidden=frozenset((group, what, verb) for group, what, verb in found["forbidden"]),
            reference=(reference[0], Reference.from_json(reference[1])) if reference else None,
        )


def _outcome_as_json(one: Outcome) -> dict[str, Any]:
    findings = [[finding.invariant, finding.text, finding.harm.value] for finding in one.findings]
    return {"plan": one.plan, "findings": findings, "reached": one.reached, "log": str(one.log) if one.log else None}


def _outcome_from_json(found: dict[str, Any]) -> Outcome:
    findings = tuple(Finding(invariant, text, Harm(harm)) for invariant, text, harm in found["findings"])
    return Outcome(found["plan"], findings, found["reached"], Path(found["log"]) if found["log"] else None)


class KeptOutcomes:
    """The outcomes in one folder, which several runs may use at the same time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "outcomes.jsonl"

    def add(self, ended: EndedBatch) -> None:
        """Keep what has ended; on disk when this returns."""
        self.folder.mkdir(parents=True, exist_ok=True)
        line = (json.dumps(ended.as_json()) + "\n").encode()
        with self._path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(b"" if _ends_with_a_newline(self._path) else b"\n")
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> dict[str, EndedBatch]:
        """Everything that is kept, by the key of its batch; what was kept first counts."""
        found: dict[str, EndedBatch] = {}
        for ended in self._lines():
            found.setdefault(ended.key, ended)
        return found

    def clear(self) -> None:
        """Throw everything away."""
        self._path.unlink(missing_ok=True)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """While this lasts, no other run records references into this folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "references.lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield

    def _lines(self) -> Iterator[EndedBatch]:
        for line in self._path.read_text().splitlines() if self._path.exists() else ():
            try:
                yield EndedBatch.from_json(json.loads(line))
            except (KeyError, TypeError, ValueError):
                continue  # cut off when a run was killed


def _ends_with_a_newline(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def references_in(kept: Iterable[EndedBatch]) -> dict[str, Reference]:
    """The references that are kept, by scenario."""
    return dict(one.reference for one in kept if one.reference is not None)


def seconds_of(kept: Iterable[EndedBatch]) -> float:
    """How long all runs together took that these come from."""
    longest: dict[str, float] = {}
    for one in kept:
        longest[one.run] = max(longest.get(one.run, 0.0), one.seconds)
    return sum(longest.values())
