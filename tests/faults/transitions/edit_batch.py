"""Resources that are edited step by step, all of a batch at the same time."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.faults.specs.fixtures import Fixtures
from tests.faults.specs.schema_values import filled
from tests.faults.transitions.checks import explained
from tests.faults.transitions.edited_properties import EditedProperty
from tests.faults.transitions.final_state import FinalState, final_state_of, is_settled
from tests.faults.transitions.remote_record import record_of

from agentex_testkit.api_server import CLUSTER_SCOPED, GROUP, Object, RefusedError
from agentex_testkit.judge.findings import Finding
from agentex_testkit.ledger import owner_in

if TYPE_CHECKING:
    from tests.faults.runner.runner import Runner

THREADS = 6
LONGEST = 45.0
LOOK_EVERY = 0.25
NAMED = re.compile(r"\bt-[0-9a-f]{12}\b")
QUIET = 1.2  # seconds in which somebody who waits may still be woken


@dataclass
class EditSequence:
    """One resource that takes these named values of a property one after the other."""

    key: str
    edited: EditedProperty
    steps: tuple[str, ...]
    moment: str = ""
    final_states: list[FinalState] = field(default_factory=list)
    found: list[Finding] = field(default_factory=list)
    stuck: str = ""
    generation: int = 0
    all_steps: tuple[str, ...] = ()
    namespace: str = ""   # the namespace it is walked from

    def __post_init__(self) -> None:
        self.all_steps = self.steps

    @property
    def name(self) -> str:
        """The name of the resource: unique to this sequence, also among the cluster-scoped objects of other workers."""
        return f"t-{hashlib.sha256(f'{self.namespace} {self.key}'.encode()).hexdigest()[:12]}"

    @property
    def kind(self) -> str:
        return self.edited.kind

    @property
    def before(self) -> str:
        """The first value."""
        return self.all_steps[0]

    @property
    def value(self) -> str:
        """The last value."""
        return self.all_steps[-1]


class EditBatch:
    """The sequences of one batch, step by step at the same time."""

    def __init__(self, runner: Runner, kind: str, sequences: Sequence[EditSequence]) -> None:
        self.runner, self.kind, self.sequences = runner, kind, sequences
        for sequence in sequences:
            sequence.namespace = runner.namespace
        self.fixtures = Fixtures(runner)
        self.pool = ThreadPoolExecutor(THREADS)

    def set_up(self) -> None:
        """Apply everything that the resources refer to."""
        self.runner.reset()
        self.fixtures.set_up(self.kind)
        if self.kind != "AgentDeployment":
            return
        needs = [one for sequence in self.sequences for one in self.fixtures.needs(sequence.name, _specs(sequence))]
        list(self.pool.map(self.runner.world.apply, needs))
        builds = [one["metadata"]["name"] for one in needs if one["kind"] == "AgentBuild"]
        self._wait(self._looking_at("AgentBuild", builds), LONGEST)

    def apply_step(self, step: int) -> None:
        """Apply this step to all resources, and wait until they are settled."""
        going = [one for one in self.sequences if len(one.steps) > step and not one.stuck]
        list(self.pool.map(lambda one: self.take(one, step), going))
        self.wait_for_rest([one for one in going if not one.stuck])

    def take(self, sequence: EditSequence, step: int) -> None:
        """Apply this value to the resource; the API server must accept it."""
        try:
            sequence.generation = self.apply(sequence, sequence.steps[step])["metadata"]["generation"]
        except RefusedError as refusal:
            sequence.stuck = f"{sequence.steps[step]} was refused: {refusal}"

    def apply(self, sequence: EditSequence, value: str, **metadata: Any) -> Object:
        """Apply the sequence's spec with this value. Raises RefusedError."""
        return self.runner.world.apply(self.manifest(sequence, value, **metadata))

    def replace(self, sequence: EditSequence, value: str) -> Object:
        """As `kubectl replace`: the whole spec, whatever its types. Raises RefusedError."""
        api, where = self.runner.world.api, None if sequence.kind in CLUSTER_SCOPED else self.runner.world.namespace
        if (found := api.get(sequence.kind, sequence.name, where)) is None:
            raise RefusedError(404, "it is gone")
        obj = {**found, "spec": self.spec(sequence, value)}
        return api._asked(api.http.put(api._path(sequence.kind, where, sequence.name), json=obj))

    def manifest(self, sequence: EditSequence, value: str, **metadata: Any) -> Object:
        """The object as a user would write it."""
        spec = self.spec(sequence, value)
        metadata = {"name": sequence.name, **metadata}
        return {"apiVersion": GROUP, "kind": sequence.kind, "metadata": metadata, "spec": spec}

    def spec(self, sequence: EditSequence, value: str) -> dict[str, Any]:
        """The spec with its braces filled."""
        return dict(filled(sequence.edited.spec(value), self.fixtures.words_for(sequence.kind, sequence.name)))

    def status(self, sequence: EditSequence) -> Object:
        """The resource's status at this moment; empty where there is none."""
        return self.runner.world.status(sequence.kind, sequence.name)

    # --- rest -----------------------------------------------------------------------------------------------------

    def wait_for_rest(self, sequences: Sequence[EditSequence]) -> None:
        """Wait until all of these are settled, and record their final states."""
        objects: dict[str, Object] = {}

        def unrested() -> list[EditSequence]:
            found = self._objects(self.kind)
            objects.update(found)
            return [one for one in sequences if not is_settled(found.get(one.name), one.generation)]

        left = self._wait(unrested, LONGEST)
        time.sleep(QUIET if any("!" in one.steps[-1] for one in sequences) else 0)
        objects.update(self._objects(self.kind))
        for one in left:
            status = objects.get(one.name, {}).get("status")
            one.stuck = f"no rest within {LONGEST:.0f} s: {json.dumps(status)[:2000]}"
        self._write_down([one for one in sequences if not one.stuck], objects)

    def _write_down(self, sequences: Sequence[EditSequence], objects: dict[str, Object]) -> None:
        created, removed = self.counted()
        for one in sequences:
            obj = objects[one.name]
            owner = self.owner(obj)
            record = record_of(self.fixtures, self.kind, obj.get("status") or {})
            one.final_states.append(final_state_of(obj, record, created[owner], removed[owner]))

    def owner(self, obj: Object) -> str:
        """The token by which remote objects name this resource."""
        whole = f"{self.runner.world.cluster}/{obj['metadata']['uid']}"
        return hashlib.sha256(whole.encode()).hexdigest()[:8] if self.kind == "AgentBuild" else whole

    def counted(self) -> tuple[Counter[str | None], Counter[str | None]]:
        """How many creates, and how many removals, were committed for each owner."""
        ours = [one for one in self.runner.simulator.ledger() if one["cause"] == "api" and one["kind"] != "secret"]
        ours = [one for one in ours if one["kind"] in ("build", "deployment")]
        return (Counter(owner_in(one) for one in ours if one["verb"] == "create"),
                Counter(owner_in(one) for one in ours if one["verb"] in ("cancel", "delete")))

    def _objects(self, kind: str) -> dict[str, Object]:
        """Everything of the kind, by name."""
        where = None if kind in CLUSTER_SCOPED else self.runner.world.namespace
        return {one["metadata"]["name"]: one for one in self.runner.world.api.list(kind, where)}

    def _looking_at(self, kind: str, names: Sequence[str]) -> Callable[[], list[str]]:
        def unready() -> list[str]:
            found = self._objects(kind)
            return [one for one in names if not is_settled(found.get(one), 1)]

        return unready

    @staticmethod
    def _wait(left: Callable[[], list[Any]], seconds: float) -> list[Any]:
        """Wait until `left` returns nothing, at most so many seconds; what it returned last."""
        end = time.monotonic() + seconds
        while (waiting := left()) and time.monotonic() < end:
            time.sleep(LOOK_EVERY)
        return waiting

    # --- what was written ----------------------------------------------------------------------------------------

    def mark(self) -> int:
        """The newest revision, for `versions`."""
        return max((int(one["metadata"]["resourceVersion"]) for one in self._objects(self.kind).values()), default=0)

    def versions(self, sequence: EditSequence, since: int) -> list[Object]:
        """The versions of the resource since a mark; only the last one of a cluster-scoped object."""
        if self.kind in CLUSTER_SCOPED:
            return [self._objects(self.kind)[sequence.name]]
        seen = self.runner.world.versions(sequence.kind, sequence.name)
        return [one for one in seen if int(one["metadata"]["resourceVersion"]) > since]

    def judge(self) -> dict[str, list[Finding]]:
        """The findings of the judge, by the name of the resource that each is about; "" where it is about none."""
        for one in self.sequences:
            self._explain(one)
        of_each: dict[str, list[Finding]] = defaultdict(list)
        for finding in self.runner.finish():
            named = NAMED.search(finding.text)
            of_each[named[0] if named else ""].append(finding)
        return of_each

    def _explain(self, sequence: EditSequence) -> None:
        if sequence.kind not in ("AgentBuild", "AgentDeployment") or not sequence.generation:
            return
        self.runner.world.explain(sequence.kind, sequence.name, explained(sequence))
        if "Orphan" in sequence.all_steps:
            self.runner.world.leaves_behind(sequence.kind, sequence.name)

    # --- the end --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Delete the cluster-scoped objects."""
        self.pool.shutdown()
        for sequence in self.sequences if self.kind in CLUSTER_SCOPED else ():
            self.runner.world.api.delete(sequence.kind, sequence.name)


def _specs(sequence: EditSequence) -> list[dict[str, Any]]:
    return [sequence.edited.spec(value) for value in sequence.steps]


def unique(sequences: Iterable[EditSequence]) -> list[EditSequence]:
    """Each sequence once."""
    return list({one.key: one for one in sequences}.values())
