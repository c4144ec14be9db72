"""Ways of a resource from one spec to another, and the world they are walked in, all of them at the same time."""

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

from tests.faults.consistency import record_of
from tests.faults.ends import End, an_end, at_rest
from tests.faults.oracles import explained
from tests.faults.scenery import Scenery
from tests.faults.subjects import Subject
from tests.faults.values import filled

from agentex_testkit.api_server import CLUSTER_SCOPED, GROUP, Object, RefusedError
from agentex_testkit.judge.findings import Finding
from agentex_testkit.ledger import owner_in

if TYPE_CHECKING:
    from tests.faults.bench import Bench

HANDS = 6
LONGEST = 45.0
LOOK_EVERY = 0.25
NAMED = re.compile(r"\bt-[0-9a-f]{12}\b")
QUIET = 1.2  # seconds in which somebody who waits may still be woken


@dataclass
class Walk:
    """One resource: `steps` are names of values that its subject takes one after the other."""

    key: str
    subject: Subject
    steps: tuple[str, ...]
    moment: str = ""
    ends: list[End] = field(default_factory=list)
    found: list[Finding] = field(default_factory=list)
    stuck: str = ""
    generation: int = 0
    all_steps: tuple[str, ...] = ()
    home: str = ""   # the namespace it is walked from

    def __post_init__(self) -> None:
        self.all_steps = self.steps

    @property
    def name(self) -> str:
        """Of the resource; the same for the same walk, another for every other. What belongs to no namespace shares its
        names with those of every other worker, so the home is in it.
        """
        return f"t-{hashlib.sha256(f'{self.home} {self.key}'.encode()).hexdigest()[:12]}"

    @property
    def kind(self) -> str:
        return self.subject.kind

    @property
    def before(self) -> str:
        """The value it began with."""
        return self.all_steps[0]

    @property
    def value(self) -> str:
        """The value it ends with."""
        return self.all_steps[-1]


class Stage:
    """The walks of one batch, in step."""

    def __init__(self, bench: Bench, kind: str, walks: Sequence[Walk]) -> None:
        self.bench, self.kind, self.walks = bench, kind, walks
        for walk in walks:
            walk.home = bench.namespace
        self.scenery = Scenery(bench)
        self.hands = ThreadPoolExecutor(HANDS)

    def set_up(self) -> None:
        """Have everything there that the resources need."""
        self.bench.ready()
        self.scenery.set_up(self.kind)
        if self.kind != "AgentDeployment":
            return
        needs = [one for walk in self.walks for one in self.scenery.needs(walk.name, _specs(walk))]
        list(self.hands.map(self.bench.world.apply, needs))
        builds = [one["metadata"]["name"] for one in needs if one["kind"] == "AgentBuild"]
        self._wait(self._looking_at("AgentBuild", builds), LONGEST)

    def walk(self, step: int) -> None:
        """Everybody takes this step, and comes to rest."""
        going = [one for one in self.walks if len(one.steps) > step and not one.stuck]
        list(self.hands.map(lambda one: self.take(one, step), going))
        self.rest([one for one in going if not one.stuck])

    def take(self, walk: Walk, step: int) -> None:
        """Bring the resource to this value; every step is one that the API server must take."""
        try:
            walk.generation = self.apply(walk, walk.steps[step])["metadata"]["generation"]
        except RefusedError as refusal:
            walk.stuck = f"{walk.steps[step]} was refused: {refusal}"

    def apply(self, walk: Walk, value: str, **metadata: Any) -> Object:
        """Apply the walk's spec with this value. Raises RefusedError."""
        return self.bench.world.apply(self.manifest(walk, value, **metadata))

    def replace(self, walk: Walk, value: str) -> Object:
        """As `kubectl replace`: the whole spec, whatever its types. Raises RefusedError."""
        api, where = self.bench.world.api, None if walk.kind in CLUSTER_SCOPED else self.bench.world.namespace
        if (found := api.get(walk.kind, walk.name, where)) is None:
            raise RefusedError(404, "it is gone")
        obj = {**found, "spec": self.spec(walk, value)}
        return api._asked(api.http.put(api._path(walk.kind, where, walk.name), json=obj))

    def manifest(self, walk: Walk, value: str, **metadata: Any) -> Object:
        """The object as a user would write it."""
        spec = self.spec(walk, value)
        return {"apiVersion": GROUP, "kind": walk.kind, "metadata": {"name": walk.name, **metadata}, "spec": spec}

    def spec(self, walk: Walk, value: str) -> dict[str, Any]:
        """The spec with everything filled in."""
        return dict(filled(walk.subject.spec(value), self.scenery.words_for(walk.kind, walk.name)))

    def status(self, walk: Walk) -> Object:
        """The resource's status at this moment; empty where there is none."""
        return self.bench.world.status(walk.kind, walk.name)

    # --- rest -----------------------------------------------------------------------------------------------------

    def rest(self, walks: Sequence[Walk]) -> None:
        """See all of these come to rest, and write down where."""
        objects: dict[str, Object] = {}

        def unrested() -> list[Walk]:
            found = self._objects(self.kind)
            objects.update(found)
            return [one for one in walks if not at_rest(found.get(one.name), one.generation)]

        left = self._wait(unrested, LONGEST)
        time.sleep(QUIET if any("!" in one.steps[-1] for one in walks) else 0)
        objects.update(self._objects(self.kind))
        for one in left:
            status = objects.get(one.name, {}).get("status")
            one.stuck = f"no rest within {LONGEST:.0f} s: {json.dumps(status)[:2000]}"
        self._write_down([one for one in walks if not one.stuck], objects)

    def _write_down(self, walks: Sequence[Walk], objects: dict[str, Object]) -> None:
        created, removed = self.counted()
        for one in walks:
            obj = objects[one.name]
            owner = self.owner(obj)
            record = record_of(self.scenery, self.kind, obj.get("status") or {})
            one.ends.append(an_end(obj, record, created[owner], removed[owner]))

    def owner(self, obj: Object) -> str:
        """How remote objects name this one."""
        whole = f"{self.bench.world.cluster}/{obj['metadata']['uid']}"
        return hashlib.sha256(whole.encode()).hexdigest()[:8] if self.kind == "AgentBuild" else whole

    def counted(self) -> tuple[Counter[str | None], Counter[str | None]]:
        """How many creates, and how many removals, were committed of each owner."""
        ours = [one for one in self.bench.simulator.ledger() if one["cause"] == "api" and one["kind"] != "secret"]
        ours = [one for one in ours if one["kind"] in ("build", "deployment")]
        return (Counter(owner_in(one) for one in ours if one["verb"] == "create"),
                Counter(owner_in(one) for one in ours if one["verb"] in ("cancel", "delete")))

    def _objects(self, kind: str) -> dict[str, Object]:
        """Everything of the kind, by name."""
        where = None if kind in CLUSTER_SCOPED else self.bench.world.namespace
        return {one["metadata"]["name"]: one for one in self.bench.world.api.list(kind, where)}

    def _looking_at(self, kind: str, names: Sequence[str]) -> Callable[[], list[str]]:
        def unready() -> list[str]:
            found = self._objects(kind)
            return [one for one in names if not at_rest(found.get(one), 1)]

        return unready

    @staticmethod
    def _wait(left: Callable[[], list[Any]], seconds: float) -> list[Any]:
        """Until nobody is left, or the time is over: who is."""
        end = time.monotonic() + seconds
        while (waiting := left()) and time.monotonic() < end:
            time.sleep(LOOK_EVERY)
        return waiting

    # --- what was written ----------------------------------------------------------------------------------------

    def mark(self) -> int:
        """This moment, for `versions`."""
        return max((int(one["metadata"]["resourceVersion"]) for one in self._objects(self.kind).values()), default=0)

    def versions(self, walk: Walk, since: int) -> list[Object]:
        """What was written of the resource since a mark; nothing is known of the whole cluster's."""
        if self.kind in CLUSTER_SCOPED:
            return [self._objects(self.kind)[walk.name]]
        seen = self.bench.world.versions(walk.kind, walk.name)
        return [one for one in seen if int(one["metadata"]["resourceVersion"]) > since]

    def judged(self) -> dict[str, list[Finding]]:
        """What the judge says before and after everything is deleted, by the name of whom it speaks of; "": nobody."""
        for one in self.walks:
            self._explain(one)
        found = self.bench.ended()
        of_each: dict[str, list[Finding]] = defaultdict(list)
        for one in found:
            named = NAMED.search(one.text)
            of_each[named[0] if named else ""].append(one)
        return of_each

    def _explain(self, walk: Walk) -> None:
        if walk.kind not in ("AgentBuild", "AgentDeployment") or not walk.generation:
            return
        self.bench.world.explain(walk.kind, walk.name, explained(walk))
        if "Orphan" in walk.all_steps:
            self.bench.world.leaves_behind(walk.kind, walk.name)

    # --- the end --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Leave nothing of the whole cluster's behind."""
        self.hands.shutdown()
        for walk in self.walks if self.kind in CLUSTER_SCOPED else ():
            self.bench.world.api.delete(walk.kind, walk.name)


def _specs(walk: Walk) -> list[dict[str, Any]]:
    return [walk.subject.spec(value) for value in walk.steps]


def unique(walks: Iterable[Walk]) -> list[Walk]:
    """Each walk once."""
    return list({one.key: one for one in walks}.values())
