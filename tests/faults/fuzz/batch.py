"""One batch of fuzzed resources: apply them, wait for their conditions, delete them, and find what went wrong."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import httpx
from tests.faults.fuzz.generator import Fuzzed, a_fuzzed
from tests.faults.fuzz.inputs import SIMULATOR
from tests.faults.specs.crd_schema import Schema, spec_schema
from tests.faults.specs.fixtures import AGENTS, HOLDERS, api_keys, holding, registered

from agentex_dev import demo_access
from agentex_operator.api.schema import adapter
from agentex_operator.api.status import Condition
from agentex_operator.core import conditions
from agentex_testkit.api_server import CLUSTER_SCOPED, ApiServer, Object, condition
from agentex_testkit.builders import ENVIRONMENTS, a_manifest
from agentex_testkit.judge.findings import Finding, Harm
from agentex_testkit.ledger import is_alive, owner_in
from agentex_testkit.version_recorder import VersionRecorder

if TYPE_CHECKING:
    from tests.faults.runner.runner import Runner

THREADS = 8
REPORTED_WITHIN, GONE_WITHIN = 60.0, 60.0
LOOK_EVERY = 0.3
MOST_VERSIONS = 40      # of one object in the seconds it lives: a few steps and slow retries, not a loop
MOST_CALLS = 12         # to the remote for each of them, and
CALLS_ANYWAY = 600      # for those that follow what there is
UNREADABLE = (413, 422)  # what the remote answers to a body that breaks its own schema
ERRORS = re.compile(r"Traceback \(most|RulesNeverEnd|this is a bug|unexpected|\"stacktrace\"", re.IGNORECASE)
CONDITIONS = adapter(tuple[Condition, ...])
LIGHT = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}


@dataclass
class FuzzedResource:
    """One fuzzed object, its uid if the API server accepted it, and the findings about it."""

    plan: str
    kind: str
    fuzzed: Fuzzed
    uid: str = ""  # empty when it was refused
    findings: list[Finding] = field(default_factory=list)

    @classmethod
    def of(cls, plan: str) -> FuzzedResource:
        """The resource of the plan of that name."""
        _, kind, seed = plan.split("/")
        return cls(plan, kind, a_fuzzed(kind, int(seed.removeprefix("seed-"))))

    @property
    def name(self) -> str:
        return str(self.fuzzed.obj["metadata"]["name"])

    @property
    def title(self) -> str:
        """The name of the resource in findings."""
        return f"{self.kind} {self.name}"

    def find(self, invariant: str, text: str, harm: Harm = Harm.OTHER) -> None:
        """Add a finding."""
        self.findings.append(Finding(invariant, f"{self.title}: {text[:1500]}", harm))


class FuzzBatch:
    """Applies fuzzed resources, waits for their conditions, deletes them, and finds what went wrong on the way."""

    def __init__(self, runner: Runner, resources: Sequence[FuzzedResource]) -> None:
        self.runner, self.resources = runner, resources
        self.kinds = tuple(dict.fromkeys(one.kind for one in resources))

    def __enter__(self) -> Self:
        world = self.runner.reset()
        self._log_began = len(self.runner.operator.log)
        self._pid = self._operator()
        contexts = [holding(kind, "quote", HOLDERS["contexts"]) for kind in ("ConfigMap", "Secret")]
        contexts[0]["data"] = {"manifest.yaml": a_manifest(), "environments.yaml": ENVIRONMENTS}
        keys = tuple(api_keys(self.runner.planted.api_key.text))
        world.apply(*contexts, *keys, *(registered(agent, agent, "v1") for agent in AGENTS.values()))
        world.wait("AgentBuild", "quote")
        for secret in keys if "ClusterAgentexAccount" in self.kinds else ():
            world.api.apply(secret, demo_access.NAMESPACE)
        self._recorders = {kind: VersionRecorder(world.api, kind, world.namespace) for kind in self.kinds}
        self._calls_began = len(self.runner.simulator.calls())
        self._pool = ThreadPoolExecutor(THREADS)
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        for recorder in self._recorders.values():
            recorder.close()

    def _operator(self) -> object:
        """The process id of the operator; false where none runs."""
        return self.runner.operator.running and self.runner.operator.part and self.runner.operator.part.pid

    # --- in -------------------------------------------------------------------------------------------------------

    def apply(self) -> None:
        """Create all of them; a refusal must have a message."""
        list(self._pool.map(self._create, self.resources))

    def _create(self, one: FuzzedResource) -> None:
        api, how = self.runner.world.api, {"fieldValidation": one.fuzzed.validation, "fieldManager": "fuzz"}
        body = json.dumps(one.fuzzed.obj).replace(SIMULATOR, self.runner.world.endpoint)
        answer = api.http.post(self._path(one.kind), params=how, content=body,
                               headers={"Content-Type": "application/json"})
        if answer.is_success:
            stored = answer.json()
            one.uid = stored["metadata"]["uid"]
            for unknown in _unknown(stored["spec"], spec_schema(one.kind), "spec"):
                one.find("I19", f"{unknown} is unknown, and was stored")
        elif answer.status_code >= 500 or not _message(answer):
            one.find("I19", f"the API server answered {answer.status_code}: {answer.text}")

    def _path(self, kind: str, name: str = "") -> str:
        return ApiServer._path(kind, None if kind in CLUSTER_SCOPED else self.runner.world.namespace, name)

    # --- what is said ---------------------------------------------------------------------------------------------

    def wait_for_conditions(self) -> None:
        """Wait until every accepted object has a condition of its generation, and check its status.

        Of an object that the operator deletes (`onExpiry: Delete`) the last version before its deletion counts.
        """
        newest: dict[str, Object] = {}
        read = dict.fromkeys(self.kinds, 0)

        def silent() -> list[FuzzedResource]:
            for kind, recorder in self._recorders.items():
                news = recorder.versions[read[kind]:]
                read[kind] += len(news)
                newest.update({one["metadata"]["uid"]: one for one in news if not _is_deleted(one)})
            return [one for one in self.accepted if not _is_reported(newest.get(one.uid))]

        for one in _wait(silent, REPORTED_WITHIN):
            status = (newest.get(one.uid) or {}).get("status")
            one.find("I19", f"nothing was said of it within {REPORTED_WITHIN:.0f} s: {status}", Harm.STUCK)
        for one in self.accepted:
            if _is_reported(newest.get(one.uid)):
                _check_status(one, newest[one.uid])

    @property
    def accepted(self) -> list[FuzzedResource]:
        return [one for one in self.resources if one.uid]

    # --- out ------------------------------------------------------------------------------------------------------

    def delete(self) -> None:
        """Delete all of them, and wait until they are gone."""
        api = self.runner.world.api
        list(self._pool.map(lambda one: api.http.delete(self._path(one.kind, one.name)), self.accepted))

        def there() -> list[FuzzedResource]:
            uids = {uid for kind in self.kinds for uid in self._uids(kind)}
            return [one for one in self.accepted if one.uid in uids]

        for one in _wait(there, GONE_WITHIN):
            one.find("I21", f"deleted, it is still there after {GONE_WITHIN:.0f} s", Harm.STUCK)

    def _uids(self, kind: str) -> list[str]:
        answer = self.runner.world.api.http.get(self._path(kind), headers=LIGHT)
        return [one["metadata"]["uid"] for one in answer.json()["items"] or ()]

    # --- what there is to tell ------------------------------------------------------------------------------------

    def loops(self) -> Iterator[Finding]:
        """A finding for every object that is written in a loop, and for calls that are repeated in a loop."""
        for kind, recorder in self._recorders.items():
            written = Counter(one["metadata"]["uid"] for one in list(recorder.versions))
            for one in self.accepted:
                if one.kind == kind and written[one.uid] > MOST_VERSIONS:
                    yield Finding("I11", f"{one.title}: was written {written[one.uid]} times", Harm.OTHER)
        calls = self._calls()
        if len(calls) > CALLS_ANYWAY + MOST_CALLS * len(self.accepted):
            most = Counter(f"{one['method']} {one['template']}" for one in calls).most_common(3)
            yield Finding("I12", f"{len(calls)} calls to the remote, mostly {most}", Harm.OTHER)
        for call in calls:
            if call["status"] in UNREADABLE:
                yield Finding("I19", f"{call['method']} {call['path']} was answered with {call['status']}", Harm.OTHER)

    def _calls(self) -> list[Object]:
        return self.runner.simulator.calls(self._calls_began)

    def log_errors(self) -> Iterator[Finding]:
        """A finding if the operator ended, and for every error of its own in its log."""
        if self._operator() != self._pid:
            yield Finding("I13", f"the operator ended:\n{self.runner.operator.log[-3000:]}", Harm.OTHER)
        lines = self.runner.operator.log[self._log_began:].splitlines()
        for line in dict.fromkeys(line for line in lines if ERRORS.search(line)):
            named = next((f"{one.title}: " for one in self.resources if f'"{one.name}"' in line), "")
            yield Finding("I19", f"{named}the log says {line[-2500:]}", Harm.OTHER)

    def left(self) -> Iterator[Finding]:
        """A finding for every deleted object of which something is still alive remotely, Orphan aside."""
        cluster, state = self.runner.world.cluster, self.runner.simulator.state()
        alive = Counter(owner_in(one) for one in (*state["builds"], *state["deployments"]) if is_alive(one))
        for one in self.accepted:
            whole = f"{cluster}/{one.uid}"
            owner = hashlib.sha256(whole.encode()).hexdigest()[:8] if one.kind == "AgentBuild" else whole
            if alive[owner] and one.fuzzed.obj["spec"].get("deletionPolicy") != "Orphan":
                yield Finding("I21", f"{one.title}: is gone, and {alive[owner]} live on", Harm.LEAKED)


def _wait(left: Callable[[], list[FuzzedResource]], seconds: float) -> list[FuzzedResource]:
    """Wait until `left` returns nothing, at most so many seconds; what it returned last."""
    end = time.monotonic() + seconds
    while (waiting := left()) and time.monotonic() < end:
        time.sleep(LOOK_EVERY)
    return waiting


def _message(answer: httpx.Response) -> str:
    with suppress(ValueError, AttributeError):
        return str(answer.json().get("message", ""))
    return answer.text


def _unknown(value: Any, schema: Schema, path: str) -> Iterator[str]:
    """The paths of the members that the schema does not know."""
    if isinstance(value, dict) and "properties" in schema:
        for name, one in value.items():
            if name not in schema["properties"]:
                yield f"{path}.{name}"
            else:
                yield from _unknown(one, schema["properties"][name], f"{path}.{name}")
    elif isinstance(value, list) and "items" in schema:
        for one in value:
            yield from _unknown(one, schema["items"], f"{path}[]")


def _is_deleted(obj: Object) -> bool:
    return "deletionTimestamp" in obj["metadata"]


def _is_reported(obj: Object | None) -> bool:
    """Whether the condition Ready is about the present generation of the object."""
    if obj is None:
        return False
    generation, status = obj["metadata"]["generation"], obj.get("status") or {}
    return bool(generation == condition(obj, "Ready").get("observedGeneration") == status.get("observedGeneration"))


def _check_status(one: FuzzedResource, obj: Object) -> None:
    """Check the status contract (ecosystem.md), and that nothing of a status that a user wrote was kept."""
    status = obj["status"]
    for fault in conditions.lint(CONDITIONS.validate_python(status["conditions"]), status["observedGeneration"]):
        one.find("I19", fault)
    if status["observedGeneration"] == 7 or status.get("buildID") == "mine":
        one.find("I15", "a status that a user wrote was kept")
