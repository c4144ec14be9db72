"""A world: one namespace, one simulator, one operator; and the contract that every object in it must keep."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from scale_gp_beta import DefaultHttpxClient, SGPClient
from tests.cluster import builders, ledger
from tests.cluster.kube import PLURALS, ApiServer, Object, eventually, gone, ready
from tests.cluster.ledger import Tracked
from tests.cluster.operator import Operator

from agentex_operator.api.account import AgentexAccount
from agentex_operator.api.build import AgentBuild
from agentex_operator.api.common import Resource
from agentex_operator.api.deployment import AgentDeployment
from agentex_operator.core import conditions
from agentex_simulator import SimulatorThread

OURS: dict[str, type[Resource]] = {
    "AgentBuild": AgentBuild,
    "AgentDeployment": AgentDeployment,
    "AgentexAccount": AgentexAccount,
}
REMOTE = ("AgentDeployment", "AgentBuild")
TRUST = ssl.create_default_context()  # once: reading the certificates costs more than most tests


class Chronicle:
    """Every version that the objects of one kind ever had, from one watch."""

    def __init__(self, api: ApiServer, kind: str, namespace: str) -> None:
        self.versions: list[Object] = []
        self._api, self._path = api, api._path(kind, namespace)
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._follow, name=f"chronicle of {kind}", daemon=True)
        self._thread.start()

    def of(self, uid: str) -> list[Object]:
        """The versions of one object, oldest first."""
        return [one for one in list(self.versions) if one["metadata"].get("uid") == uid]

    def close(self) -> None:
        """End the watch."""
        with suppress(OSError):
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    def _follow(self) -> None:
        with (
            suppress(httpx.HTTPError),
            self._api.http.stream("GET", self._path, params={"watch": "1"}, timeout=None) as answer,
        ):
            self._socket = answer.extensions["network_stream"].get_extra_info("socket")
            for line in filter(None, answer.iter_lines()):
                self.versions.append(json.loads(line)["object"])  # one by one, to be read meanwhile


@dataclass
class World:
    """What a test works in. `apply` and `wait` are most of it; what it applied is judged when the test is over."""

    api: ApiServer
    namespace: str
    simulator: SimulatorThread
    operator: Operator
    endpoint: str
    cluster: str  # the uid of the namespace kube-system
    tracked: list[Tracked] = field(default_factory=list)
    _known: list[Tracked] = field(default_factory=list)
    _chronicles: dict[str, Chronicle] = field(default_factory=dict)

    # --- the cluster ----------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Write everything down from now on."""
        self._chronicles = {kind: Chronicle(self.api, kind, self.namespace) for kind in OURS}

    def apply(self, *objects: Object) -> Object:
        """Create these, or bring them to this shape; the last one as the API server has it. Raises RefusedError."""
        applied: Object = {}
        for obj in objects:
            applied = self.api.apply(obj, self.namespace)
            self._track(applied)
        return applied

    def get(self, kind: str, name: str) -> Object | None:
        """The object, or None."""
        return self.api.get(kind, name, self.namespace)

    def status(self, kind: str, name: str) -> Object:
        """Its status; empty where there is none."""
        return (self.get(kind, name) or {}).get("status") or {}

    def patch(self, kind: str, name: str, **body: Any) -> Object:
        """Merge into it."""
        return self.api.patch(kind, name, body, self.namespace)

    def annotate(self, kind: str, name: str, **annotations: str) -> None:
        """Annotate it in our group: `rebuild_requested_at` is agentex.scale.com/rebuild-requested-at."""
        named = {f"agentex.scale.com/{key.replace('_', '-')}": value for key, value in annotations.items()}
        self.patch(kind, name, metadata={"annotations": named})

    def delete(self, kind: str, name: str) -> None:
        """Ask for its deletion."""
        self.api.delete(kind, name, self.namespace)

    def wait(self, kind: str, name: str, until: Callable[[Object | None], bool] = ready, seconds: float = 60) -> Object:
        """The object as soon as it is so: ready, stalled(reason), says(type, status, reason), gone or your own."""
        return eventually(lambda: self.get(kind, name), until, seconds) or {}

    def remove(self, kind: str, name: str) -> None:
        """Delete it and see it go."""
        self.delete(kind, name)
        self.wait(kind, name, gone)

    def events(self, kind: str, name: str) -> list[Object]:
        """What was announced of this object, oldest first."""
        about = {"kind": kind, "name": name}
        found = [one for one in self.api.list("Event", self.namespace) if about.items() <= one["regarding"].items()]
        return sorted(found, key=lambda one: one.get("eventTime") or "")

    def versions(self, kind: str, name: str) -> list[Object]:
        """Every version this object had since the world was opened."""
        obj = self.get(kind, name)
        return self._chronicles[kind].of(obj["metadata"]["uid"]) if obj else []

    # --- the remote side ------------------------------------------------------------------------------------------

    def remotes(self, kind: str, name: str) -> list[Object]:
        """The remote objects of a resource, as they truly are, by its token."""
        return ledger.remotes(self.simulator, self._tracked(kind, name).owner(self.cluster))

    def living(self, kind: str, name: str) -> list[Object]:
        """Those of them that are alive."""
        return [one for one in self.remotes(kind, name) if ledger.is_alive(one)]

    def creates(self, kind: str, name: str) -> int:
        """How many creates were committed for a resource."""
        return len(ledger.created(self.simulator, self._tracked(kind, name).owner(self.cluster)))

    def sdk(self, account: str = "acct-1", key: str = "key-1") -> SGPClient:
        """The vendor's SDK in its strictest mode; close it, or use it in a with statement."""
        http = DefaultHttpxClient(verify=TRUST)
        return SGPClient(api_key=key, account_id=account, base_url=self.simulator.url, http_client=http, max_retries=0,
                         _strict_response_validation=True)

    # --- the judge ------------------------------------------------------------------------------------------------

    def explain(self, kind: str, name: str, creates: int) -> None:
        """This many creates have a reason in this test; without a word it is one."""
        self._tracked(kind, name).creates = creates

    def leaves_behind(self, kind: str, name: str) -> None:
        """What is remote of this resource may outlive it (deletionPolicy: Orphan)."""
        self._tracked(kind, name).orphan = True

    def judge(self) -> None:
        """Fail on every broken promise of what was applied since the last judgement: conditions, writes, ledger."""
        for one in self._known:
            found = self.get(one.kind, one.name)
            one.gone = found is None or found["metadata"]["uid"] != one.uid
        faults = [fault for one in self.tracked for fault in self._faults(one)]
        remote = [one for one in self.tracked if one.kind in REMOTE]
        faults += ledger.judge(self.simulator, self.cluster, remote, self._known)
        self.tracked.clear()
        assert not faults, "promises broken:\n" + "\n".join(faults)

    def close(self) -> None:
        """Delete every resource, accounts last; with the operator at work, see them go and leave nothing alive."""
        if self.operator.running:
            self._clear_by_the_operator()
        self._clear_by_force()
        for chronicle in self._chronicles.values():
            chronicle.close()

    def discard(self) -> None:
        """As `close`, after a failure: by force at once."""
        self.operator.kill()
        self.close()

    def delete_all(self) -> Iterable[tuple[str, str]]:
        """Ask for the deletion of every build and deployment; which they are."""
        left = [(kind, one["metadata"]["name"]) for kind in REMOTE for one in self.api.list(kind, self.namespace)]
        for kind, name in left:
            self.delete(kind, name)
        return left

    def _clear_by_the_operator(self) -> None:
        for kind, name in self.delete_all():
            self.wait(kind, name, gone)
        orphans = {one.owner(self.cluster) for one in self._known if one.orphan}
        state = self.simulator.state()
        alive = [one for one in (*state["builds"], *state["deployments"]) if ledger.is_alive(one)]
        left = [one["id"] for one in alive if ledger.owner_in(one) not in {*orphans, None}]
        assert not left, f"everything was deleted, and these live on: {left}"

    def _clear_by_force(self) -> None:
        for kind, name in self.delete_all():
            with suppress(Exception):
                self.patch(kind, name, metadata={"finalizers": None})

    def _track(self, obj: Object) -> None:
        uid = obj["metadata"]["uid"]
        if obj["kind"] not in OURS:
            return
        fresh = Tracked(obj["kind"], obj["metadata"]["name"], uid)
        one = next((it for it in self._known if it.uid == uid), fresh)
        for those in (self._known, self.tracked):
            if one not in those:
                those.append(one)

    def _tracked(self, kind: str, name: str) -> Tracked:
        """The newest resource of that name."""
        return next(one for one in reversed(self._known) if (one.kind, one.name) == (kind, name))

    def _faults(self, one: Tracked) -> list[str]:
        versions = self._chronicles[one.kind].of(one.uid)
        faults = [fault for version in versions for fault in faults_of(version)] + went_back(versions)
        faults += [] if versions else ["no version of it was seen, so nothing could be judged"]
        return [f"{one.kind} {one.name}: {fault}" for fault in dict.fromkeys(faults)]


def faults_of(obj: Object) -> list[str]:
    """What is wrong with one version of a resource: its conditions, its generations, who wrote what."""
    resource: Any = OURS[obj["kind"]].parse(obj)
    seen, generation = resource.status.observed_generation, resource.meta.generation
    untouched = seen == -1 and not resource.status.conditions
    faults = [] if untouched else conditions.lint(resource.status.conditions, seen)
    ahead = [f"observedGeneration {seen} is ahead of {generation}"] if seen > generation else []
    return faults + ahead + overreach(obj)


def went_back(versions: list[Object]) -> list[str]:
    """observedGeneration never decreases (I9)."""
    seen = [(one.get("status") or {}).get("observedGeneration", -1) for one in versions]
    return [] if seen == sorted(seen) else [f"observedGeneration went back: {seen}"]


def overreach(obj: Object) -> list[str]:
    """The operator owns the status and its finalizer, and never a field of the spec, a label or an annotation."""
    mine = [one for one in obj["metadata"].get("managedFields") or () if one["manager"] == "agentex-operator"]
    paths = {(root, field) for one in mine for root, fields in one["fieldsV1"].items() for field in fields}
    strange = sorted(path for path in paths if path[0] != "f:status" and path != ("f:metadata", "f:finalizers"))
    return [f"the operator wrote {strange}"] if strange else []


def with_account(world: World) -> None:
    """Give the world its account `default`, with its key."""
    world.apply(builders.a_secret(), builders.an_account(world.endpoint))
    world.wait("AgentexAccount", "default")


assert set(OURS) <= set(PLURALS)
