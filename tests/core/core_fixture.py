"""A world of values for the decisions: one Kubernetes object, the remote records, and a clock moved by hand.

It answers every call of core/plan.py in a few dozen lines, and can lose the answer of any of them: what the model
checker will need, and what makes a case here three lines long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

from agentex_operator.api.build import AgentBuild
from agentex_operator.api.deployment import AgentDeployment
from agentex_operator.api.metadata import Meta
from agentex_operator.api.status import status_as_dict
from agentex_operator.core import build, calls, conditions, deployment, ownership
from agentex_operator.core.build.observed import Observed as BuildObserved
from agentex_operator.core.calls import LookForOurs
from agentex_operator.core.deployment.observed import Observed as DeploymentObserved
from agentex_operator.core.errors import Conflict, Unavailable
from agentex_operator.core.observed_records import ObservedRecords
from agentex_operator.core.plan import AccountProblem, Plan, Policy, UsableAccount
from agentex_operator.core.remote import BuildRecord, DeploymentRecord, Listing, RemoteState
from agentex_operator.kube.kinds import AGENT_BUILD, AGENT_DEPLOYMENT
from agentex_operator.reconcile.build import BuildPass
from agentex_operator.reconcile.deployment import DeploymentPass
from agentex_operator.reconcile.holders import Seeker, found_in

T0 = datetime(2026, 11, 24, 12, tzinfo=UTC)
CLUSTER = "cluster-uid"
ACCOUNT = UsableAccount("AgentexAccount", "default", "acct-1", "https://api.example", timedelta(seconds=5))
LIVE = {RemoteState.WAITING, RemoteState.RUNNING, RemoteState.SUCCEEDED, RemoteState.FAILED}


class CrashError(Exception):
    """The operator died here."""


@dataclass
class CoreFixture:
    """Everything outside the decisions."""

    obj: dict[str, Any] | None
    now: datetime = T0
    account: UsableAccount | AccountProblem = ACCOUNT
    policy: Policy = field(default_factory=Policy)
    records: dict[str, Any] = field(default_factory=dict)
    agents: dict[str, str] = field(default_factory=dict)
    source: Any = "content-1"
    texts: dict[str, Any] = field(default_factory=dict)
    referenced: AgentBuild | None = None
    others: list[dict[str, Any]] = field(default_factory=list)  # objects of the same kind, beside this one
    calls: list[Any] = field(default_factory=list)
    answers: list[Callable[[Any, Callable[[], Any]], Any]] = field(default_factory=list)
    last: Plan[Any] | None = None

    # -- passes --------------------------------------------------------------------------------------------------

    def run(self) -> Plan[Any]:
        """One pass, from the newest view."""
        core, observed = self.begin()
        for _ in range(60):
            planned = core.decide(observed, self.now)
            if planned.call is None:
                self.last = planned
                return planned
            observed = core.settle(observed, planned.call, self.answer(planned.call), self.now)
        raise AssertionError(f"the rules never end: {self.calls[-4:]}")

    def settle_down(self, passes: int = 12) -> CoreFixture:
        """Passes, each when the one before it wants to be followed by another, or a little later."""
        for _ in range(passes):
            if self.obj is None:
                break
            planned = self.run()
            self.now += min(planned.look_again or timedelta(seconds=5), timedelta(minutes=1))
        return self

    def begin(self) -> tuple[ModuleType, Any]:
        """What a pass begins with."""
        assert self.obj is not None
        common: dict[str, Any] = {"cluster": CLUSTER, "account": self.account, "policy": self.policy,
                                  "started_at": self.now, "seen": ObservedRecords()}
        if self.obj["kind"] == "AgentBuild":
            ours = AgentBuild.parse(self.obj)
            return build, BuildObserved(
                meta=ours.meta, spec=ours.spec, stored=ours.status, status=ours.status, **common)
        its = AgentDeployment.parse(self.obj)
        return deployment, DeploymentObserved(
            meta=its.meta, spec=its.spec, stored=its.status, status=its.status, build=self.referenced, **common)

    def answer(self, call: Any) -> Any:
        """Make the call, unless the script has another answer."""
        self.calls.append(call)
        return self.answers.pop(0)(call, lambda: self.perform(call)) if self.answers else self.perform(call)

    # -- the outside ---------------------------------------------------------------------------------------------

    def perform(self, call: Any) -> Any:
        """What the outside answers to a call."""
        return self.outside[type(call)](call)

    @property
    def outside(self) -> dict[type, Callable[[Any], Any]]:
        """Who answers which call."""
        writes = (calls.AddFinalizer, calls.RemoveFinalizer, calls.SaveStatus, calls.WriteIntent)
        return dict.fromkeys(writes, self.write) | {
            calls.DeleteSelf: lambda _: self.delete() and None,
            calls.ResolveSource: lambda _: self.read(calls.Revision(str(self.source))),
            calls.StageContext: lambda _: self.read(calls.StagedContext(calls.Revision(str(self.source)),
                                                                      f"hash of {self.source}")),
            calls.ReadBuildManifest: lambda _: (f"hash of {self.source}", MANIFEST),
            calls.ReadText: lambda call: self.texts[call.ref.name],
            calls.ReadAgentBuild: lambda _: self.referenced,
            calls.LookForOurs: self.list_ours,
            calls.Confirm: lambda call: self.records.get(call.id),
            calls.ReadCandidate: lambda call: self.records.get(call.id),
            calls.FindHolders: lambda call: found_in(self.others, self.seeker(), call),
            calls.ConfirmBuild: lambda call: self.records.get(call.id),
            calls.FindAgent: lambda call: self.agents.get(call.name, calls.Agent.FREE),
            calls.CreateBuild: self.create,
            calls.CreateDeployment: self.create,
            calls.Remove: lambda call: self.remove(call.id),
            calls.ReadLogTail: lambda _: ("Step 1/2", "ERROR: no such package"),
        }

    def read(self, content: Any) -> Any:
        """What the source holds, or why it cannot be read."""
        return self.source if isinstance(self.source, Exception) else content

    def list_ours(self, call: LookForOurs) -> Listing[Any]:
        """All of ours, as of now."""
        return Listing(self.now, None, tuple(record for record in self.records.values() if self.is_ours(record, call)))

    def seeker(self) -> Seeker:
        """Who asks which others hold a remote object."""
        assert self.obj is not None
        if self.obj["kind"] == "AgentBuild":
            return Seeker(AGENT_BUILD, BuildPass.id_member, self.obj["metadata"]["uid"],
                          lambda uid: ownership.owner_of(CLUSTER, uid), 0.0)
        return Seeker(AGENT_DEPLOYMENT, DeploymentPass.id_member, self.obj["metadata"]["uid"],
                      lambda uid: f"{CLUSTER}/{uid}", 0.0)

    def write(self, call: Any) -> Meta | None:
        assert self.obj is not None
        metadata = self.obj["metadata"]
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)
        if isinstance(call, calls.AddFinalizer):
            metadata["finalizers"] = ["agentex.scale.com/remote"]
        elif isinstance(call, calls.RemoveFinalizer):
            self.obj = None
            return None
        else:
            self.obj["status"] = status_as_dict(call.status)
        return Meta.parse(self.obj)

    def is_ours(self, record: Any, call: LookForOurs) -> bool:
        if isinstance(record, BuildRecord):
            token = ownership.build_token(record.image_tag, record.source_ref)
            return record.id in call.ids or (token is not None and token.owner == call.owner)
        return record.id in call.ids or (record.token or "").startswith(call.owner)

    def create(self, call: Any) -> Any:
        id_ = f"remote-{len(self.records) + 1}"
        request = call.request
        if isinstance(call, calls.CreateBuild):
            agent = request.agent_id or self.agents.setdefault(request.agent_name, f"id of {request.agent_name}")
            self.records[id_] = BuildRecord(id_, RemoteState.WAITING, "queued", self.now, "quote", agent,
                                            request.image_name, request.image_tag, source_ref=request.source_ref)
        else:
            self.records[id_] = DeploymentRecord(id_, RemoteState.WAITING, "pending", self.now, "team-quote",
                                                 build_id=request.build_id,
                                                 token=ownership.token_in(request.manifest_file),
                                                 preview_label=request.preview_label, expires_at=request.expires_at)
        return self.records[id_]

    def remove(self, id_: str) -> None:
        record = self.records[id_]
        gone = ("cancelled", RemoteState.CANCELLED) if isinstance(record, BuildRecord) else (
            "deleted", RemoteState.DELETED)
        self.records[id_] = replace(record, raw_status=gone[0], state=gone[1])

    def becomes(self, id_: str, word: str, state: RemoteState) -> CoreFixture:
        """The remote moves on by itself."""
        self.records[id_] = replace(self.records[id_], raw_status=word, state=state)
        return self

    # -- the user ------------------------------------------------------------------------------------------------

    def delete(self) -> CoreFixture:
        """Deleted by somebody; without a finalizer it is gone at once."""
        assert self.obj is not None
        self.obj["metadata"]["deletionTimestamp"] = f"{self.now:%Y-%m-%dT%H:%M:%SZ}"
        if not self.obj["metadata"].get("finalizers"):
            self.obj = None
        return self

    def edit(self, **spec: Any) -> CoreFixture:
        assert self.obj is not None
        self.obj["spec"] |= spec
        self.obj["metadata"]["generation"] += 1
        return self

    def annotate(self, name: str, value: str) -> CoreFixture:
        assert self.obj is not None
        self.obj["metadata"].setdefault("annotations", {})[f"agentex.scale.com/{name}"] = value
        return self

    # -- looking -------------------------------------------------------------------------------------------------

    @property
    def there(self) -> dict[str, Any]:
        """The object, which must not be gone."""
        assert self.obj is not None
        return self.obj

    @property
    def status(self) -> dict[str, Any]:
        assert self.obj is not None
        return self.obj.get("status", {})

    @property
    def memory(self) -> dict[str, Any]:
        """What the operator remembers in the status for itself."""
        return self.status.get("operator", {})

    def condition(self, kind: str) -> tuple[str, str] | None:
        """Status and reason of a condition."""
        found = [c for c in self.status.get("conditions", ()) if c["type"] == kind]
        return (found[0]["status"], found[0]["reason"]) if found else None

    def live(self) -> list[str]:
        """Ids of remote records that are not cancelled, deleted or superseded."""
        return [record.id for record in self.records.values() if record.state in LIVE]

    def made(self, kind: type) -> int:
        """How many calls of a kind were made."""
        return sum(isinstance(call, kind) for call in self.calls)

    def keeps_the_contract(self) -> bool:
        """Whether the conditions keep the status contract."""
        assert self.obj is not None
        ours = AgentBuild.parse(self.obj) if self.obj["kind"] == "AgentBuild" else AgentDeployment.parse(self.obj)
        return conditions.lint(ours.status.conditions, ours.meta.generation) == []


# --- scripted answers -----------------------------------------------------------------------------------------------


def lose(call: Any, perform: Callable[[], Any]) -> Any:
    """It happens, and the answer is lost."""
    perform()
    return Unavailable(f"the connection was reset during {type(call).__name__}")


def never(call: Any, _perform: Callable[[], Any]) -> Any:
    """It does not happen, and nobody says so."""
    return Unavailable(f"the connection was reset during {type(call).__name__}")


def crash_before(_call: Any, _perform: Callable[[], Any]) -> Any:
    """The operator dies before it sends."""
    raise CrashError


def crash_after(_call: Any, perform: Callable[[], Any]) -> Any:
    """The operator dies after it was done."""
    perform()
    raise CrashError


def conflict(_call: Any, _perform: Callable[[], Any]) -> Any:
    """Somebody else wrote first."""
    return Conflict("the object changed")


def script(world: CoreFixture, kind: type, answer: Callable[[Any, Callable[[], Any]], Any]) -> CoreFixture:
    """Give this answer to the next call of that kind."""
    def watch(call: Any, perform: Callable[[], Any]) -> Any:
        if isinstance(call, kind):
            return answer(call, perform)
        world.answers.insert(0, watch)
        return perform()

    world.answers.append(watch)
    return world


# --- builders -------------------------------------------------------------------------------------------------------

MANIFEST = """\
build: {context: {root: ., include_paths: [quote], dockerfile: Dockerfile}}
agent: {name: quote, acp_type: sync, description: Answers}
deployment: {image: {repository: "", tag: "latest"}}
"""
ENVIRONMENTS = """\
schema_version: v1
environments:
  dev: {auth: {principal: {user_id: u-1}}, kubernetes: {namespace: team-quote}}
"""


def an_object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """A valid object as the API server would return it."""
    return {
        "apiVersion": "agentex.scale.com/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": "team", "uid": f"uid-of-{name}", "generation": 1,
                     "resourceVersion": "1", "creationTimestamp": f"{T0:%Y-%m-%dT%H:%M:%SZ}"},
        "spec": spec, "status": {"observedGeneration": -1},
    }


def a_build(**spec: Any) -> CoreFixture:
    """A world with one AgentBuild."""
    usual = {"agentName": "quote", "image": {"name": "quote"},
             "source": {"configMapKeyRef": {"name": "quote", "key": "ctx"}}}
    return CoreFixture(an_object("AgentBuild", "quote", usual | spec))


def a_deployment(**spec: Any) -> CoreFixture:
    """A world with one AgentDeployment of a named remote build."""
    usual = {"buildID": "build-1", "manifest": {"inline": MANIFEST}, "environments": {"inline": ENVIRONMENTS}}
    world = CoreFixture(an_object("AgentDeployment", "quote", usual | spec))
    world.records["build-1"] = BuildRecord("build-1", RemoteState.SUCCEEDED, "success", T0, "quote", "a-1", "q", "t")
    return world


def a_preview(**preview: Any) -> CoreFixture:
    """A world with one preview."""
    return a_deployment(preview={"label": "pr-1", "ttl": "1h"} | preview)
