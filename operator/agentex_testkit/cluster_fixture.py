"""A world: one namespace, one simulator, one operator; and the contract that every object in it must keep."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scale_gp_beta import DefaultHttpxClient, SGPClient

from agentex_simulator import Settings, SimulatorThread
from agentex_testkit import builders, ledger
from agentex_testkit.api_server import PLURALS, ApiServer, Object, RefusedError, eventually, gone, ready
from agentex_testkit.installation import Installation
from agentex_testkit.judge.evidence import Evidence
from agentex_testkit.judge.findings import Finding
from agentex_testkit.judge.invariants import OURS, judge_one, of_the_world
from agentex_testkit.ledger import Tracked
from agentex_testkit.operator_process import Operator
from agentex_testkit.version_recorder import VersionRecorder

REMOTE = ("AgentDeployment", "AgentBuild")
LOOK_AGAIN = 0.5  # seconds: whoever waits looks again after so long, though nothing was written
TIME_SCALE = 60  # a build of two minutes takes two seconds, a rollout of one minute one
TRUST = ssl.create_default_context()  # once: reading the certificates costs more than most tests


@dataclass
class ClusterFixture:
    """What a test on a cluster works in; what was applied is judged when the test ends."""

    api: ApiServer
    namespace: str
    simulator: SimulatorThread
    operator: Operator
    endpoint: str
    cluster: str  # the uid of the namespace kube-system
    tracked: list[Tracked] = field(default_factory=list)
    _known: list[Tracked] = field(default_factory=list)
    _recorders: dict[str, VersionRecorder] = field(default_factory=dict)

    # --- the cluster ----------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to record every version."""
        self._recorders = {kind: VersionRecorder(self.api, kind, self.namespace) for kind in OURS}

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

    def write_status(self, kind: str, name: str, status: Object) -> Object:
        """Merge into its status, as whoever restores a backup."""
        return self.api.patch(kind, name, {"status": status}, self.namespace, "/status")

    def annotate(self, kind: str, name: str, **annotations: str) -> None:
        """Annotate it in our group: `rebuild_requested_at` is agentex.scale.com/rebuild-requested-at."""
        named = {f"agentex.scale.com/{key.replace('_', '-')}": value for key, value in annotations.items()}
        self.patch(kind, name, metadata={"annotations": named})

    def delete(self, kind: str, name: str) -> None:
        """Ask for its deletion."""
        self.api.delete(kind, name, self.namespace)

    def take_away(self, kind: str, name: str) -> None:
        """Delete it at once, as a person who removes its finalizers; nothing happens where it is gone already."""
        self.delete(kind, name)
        if self.get(kind, name) is not None:
            with suppress(RefusedError):  # gone meanwhile
                self.patch(kind, name, metadata={"finalizers": None})

    def wait(self, kind: str, name: str, until: Callable[[Object | None], bool] = ready, seconds: float = 60) -> Object:
        """The object as soon as it is so: ready, stalled(reason), says(type, status, reason), gone or your own."""
        recorder = self._recorders.get(kind)
        if recorder is None:
            return eventually(lambda: self.get(kind, name), until, seconds) or {}
        written = 0

        def look() -> Object | None:
            nonlocal written
            written = recorder.written
            return self.get(kind, name)

        return eventually(look, until, seconds, lambda: recorder.wait_for_news(written, LOOK_AGAIN)) or {}

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
        self._recorders[kind].catch_up()
        return self._recorders[kind].of(obj["metadata"]["uid"]) if obj else []

    def versions_so_far(self, kind: str, uid: str) -> list[Object]:
        """The recorded versions of an object; without waiting for those that are not recorded yet."""
        return self._recorders[kind].of(uid)

    def catch_up(self) -> None:
        """Wait until everything that happened by now is recorded."""
        for kind, recorder in self._recorders.items():
            recorder.catch_up(one.uid for one in self._known if one.kind == kind)

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

    def explain(self, kind: str, name: str, creates: int = 1, unanswered: int = 0, beside: int = 0,
                returns: int = 0) -> None:
        """This many creates have a reason in this test; so many more may take effect that nobody was told of.

        `beside`: so many may be alive beside the newest one; `returns`: how often the test asks for the same again.
        """
        one = self._tracked(kind, name)
        one.creates, one.unanswered, one.beside, one.returns = creates, unanswered, beside, returns

    def leaves_behind(self, kind: str, name: str) -> None:
        """Remote objects of this resource may outlive it (deletionPolicy: Orphan)."""
        self._tracked(kind, name).orphan = True

    def inherits(self, kind: str, name: str, *ids: str, alone: bool = True) -> None:
        """This resource takes over these remote objects of other owners; where it is not alone, another one may."""
        one = self._tracked(kind, name)
        one.inherits, one.may_inherit = (frozenset(ids), frozenset()) if alone else (frozenset(), frozenset(ids))

    def judge(self) -> None:
        """Fail on every broken promise of what was applied since the last judgement: conditions, writes, ledger."""
        found = self.findings()
        self.tracked.clear()
        assert not found, "promises broken:\n" + "\n".join(map(str, found))

    def findings(self, ambiguous: int = 0) -> tuple[Finding, ...]:
        """The broken promises; `ambiguous` creates were sent whose answer the operator never had."""
        for one in self._known:
            found = self.get(one.kind, one.name)
            one.gone = found is None or found["metadata"]["uid"] != one.uid
        evidence = self.evidence(ambiguous)
        of_each = [one for it in self.tracked for one in judge_one(evidence.case(it))]
        return tuple(dict.fromkeys([*of_each, *of_the_world(evidence)]))

    def evidence(self, ambiguous: int = 0) -> Evidence:
        """What the judge needs, as it is now."""
        self.catch_up()
        versions = {one.uid: self._recorders[one.kind].of(one.uid) for one in self._known}
        return Evidence(self.cluster, self.simulator.ledger(), self._known, versions, ambiguous)

    def left_alive(self) -> list[Object]:
        """The remote objects that are alive and must not be when every resource is gone."""
        evidence, state = self.evidence(), self.simulator.state()
        alive = (one for one in (*state["builds"], *state["deployments"]) if ledger.is_alive(one))
        return [one for one in alive if not evidence.may_outlive_all(one)]

    def close(self) -> None:
        """Delete every resource, accounts last; with the operator at work, see them go and leave nothing alive."""
        if self.operator.running:
            self._clear_by_the_operator()
        self._clear_by_force()
        for recorder in self._recorders.values():
            recorder.close()

    def discard(self) -> None:
        """As `close`, after a failure: by force at once."""
        self.operator.kill()
        self.close()

    def delete_all(self) -> Iterable[tuple[str, str]]:
        """Ask for the deletion of every build and deployment; their kinds and names."""
        left = [(kind, one["metadata"]["name"]) for kind in REMOTE for one in self.api.list(kind, self.namespace)]
        for kind, name in left:
            self.delete(kind, name)
        return left

    def _clear_by_the_operator(self) -> None:
        for kind, name in self.delete_all():
            self.wait(kind, name, gone)
        left = [one["id"] for one in self.left_alive()]
        assert not left, f"everything was deleted, and these live on: {left}"

    def _clear_by_force(self) -> None:
        for kind, name in self.delete_all():
            with suppress(Exception):
                self.patch(kind, name, metadata={"finalizers": None})
        for one in self.api.list("AgentexAccount", self.namespace):
            self.take_away("AgentexAccount", one["metadata"]["name"])

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


@contextmanager
def opened(
    installation: Installation,
    namespace: str,
    *,
    flags: tuple[str, ...] = (),
    also: tuple[str, ...] = (),
    kubeconfig: Path | None = None,
    front: Callable[[str], str] = str,
    account: bool = True,
    **settings: Any,
) -> Iterator[ClusterFixture]:
    """A world in this namespace. `also` is watched too; `front` puts a proxy before the simulator."""
    with SimulatorThread(Settings(**{"time_scale": TIME_SCALE, **settings})) as simulator, ExitStack() as stack:
        operator = Operator(
            kubeconfig or installation.kubeconfig, (namespace, *also), installation.cluster.workspace, flags
        )
        stack.callback(operator.end)
        endpoint = front(simulator.url)
        world = ClusterFixture(installation.api, namespace, simulator, operator, endpoint, installation.uid)
        world.open()
        operator.start()
        if account:
            with_account(world)
        yield world


def with_account(world: ClusterFixture) -> None:
    """Give the world its account `default`, with its key."""
    world.apply(builders.a_secret(), builders.an_account(world.endpoint))
    world.wait("AgentexAccount", "default")


assert set(OURS) <= set(PLURALS)
