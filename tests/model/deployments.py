"""AgentDeployment as the model sees it: production ones, which share a release, and previews, which do not."""

from __future__ import annotations

import dataclasses
from functools import cache
from types import ModuleType
from typing import Any, ClassVar

from tests.core.core_fixture import ENVIRONMENTS, MANIFEST
from tests.model.kinds import (
    BROKEN,
    CANCELLED,
    DELETED,
    FAILED,
    NAME,
    NOT_SERVING,
    PAUSED,
    SUCCEEDED,
    SUPERSEDED,
    WAITING,
    WISHES,
    Kind,
    Object,
    Remote,
    moved,
)
from tests.model.values import NOW, ORIGIN, POLICY, TICK

from agentex_operator.api.build import AgentBuild, AgentBuildSpec, AgentBuildStatus
from agentex_operator.api.deployment import AgentDeploymentSpec, AgentDeploymentStatus
from agentex_operator.api.metadata import Meta
from agentex_operator.api.schema import adapter
from agentex_operator.api.status import Condition
from agentex_operator.core import calls, conditions, deployment, ownership, reasons
from agentex_operator.core.deployment.observed import Observed
from agentex_operator.core.remote import BuildRecord, DeploymentRecord, RemoteState

NAMED_BUILD = BuildRecord("build-1", SUCCEEDED, "success", ORIGIN, NAME, "a-1", NAME, "t")


@cache
def built(source: int) -> AgentBuild:
    """The AgentBuild that is followed: of that version of its source; a broken one has not built its newest wish."""
    spec = {"agentName": NAME, "image": {"name": NAME}, "source": {"configMapKeyRef": {"name": NAME, "key": "ctx"}}}
    done = Condition(type="Succeeded", status="True", reason=reasons.SUCCEEDED, message="-", observed_generation=1,
                     last_transition_time=ORIGIN)
    version, generation = source % BROKEN, 2 if source >= BROKEN else 1
    status = AgentBuildStatus(observed_generation=1, conditions=(done,), context_digest=f"context {version}"
                              ).with_remote_id(f"build-{version}")
    meta = Meta(name=NAME, uid="uid-of-its-build", generation=generation, creation_timestamp=ORIGIN,
                resource_version=str(source))
    return AgentBuild(meta=meta, spec=adapter(AgentBuildSpec).validate_python(spec), status=status)


class Production(Kind):
    """AgentDeployment: lives until it is deleted, or superseded by the next that gets healthy."""

    name = "production"
    core: ClassVar[ModuleType] = deployment
    observed = Observed
    lingers = False   # the remote ends every rollout; which of them serves is settled by then
    dead = frozenset({DELETED, SUPERSEDED, CANCELLED})
    more: ClassVar[dict[str, Any]] = {"buildID": "build-1", "environments": {"inline": ENVIRONMENTS}}
    words: ClassVar[dict[RemoteState, str]] = {SUCCEEDED: "healthy", FAILED: "failed", DELETED: "deleted"}

    def __init__(self) -> None:
        super().__init__()
        make = adapter(AgentDeploymentSpec).validate_python
        self.specs = tuple(make(Production.more | self.wished(n) | self.more | {"suspend": mode == PAUSED})
                           for mode in self.modes for n in range(WISHES))
        self.empty = AgentDeploymentStatus()

    def wished(self, number: int) -> dict[str, Any]:
        """What makes the one wish another than the other."""
        return {"manifest": {"inline": MANIFEST.replace("Answers", f"Answers {number}")}}

    def local(self, call: Any, source: int) -> Any:
        return NAMED_BUILD

    def owner(self, record: Any) -> str | None:
        return ownership.deployment_owner(record.token) if record.token else None

    def attempt(self, record: Any) -> int:
        return int(record.token.rpartition("/")[2]) if record.token else 0

    def made(self, number: int, call: Any) -> Any:
        asked = call.request
        return DeploymentRecord(f"r{number}", WAITING, "pending", ORIGIN + number * TICK, "team-quote",
                                build_id=asked.build_id, token=ownership.token_in(asked.manifest_file),
                                preview_label=asked.preview_label, expires_at=asked.expires_at)

    def finished(self, remote: tuple[Remote, ...], at: int, state: RemoteState) -> tuple[Remote, ...]:
        after = (*remote[:at], moved(remote[at], state, self.words[state]), *remote[at + 1:])
        return self.supersede(after, at) if state is SUCCEEDED else after

    def tolerated(self, held: Any, serving: str | None, extra: Any) -> bool:
        """They share one release, so nothing is removed beside it: what failed, or what an earlier attempt made and
        serves while the new one failed or was removed by somebody else.
        """
        earlier = (self.attempt(extra), extra.created_at) < (self.attempt(held), held.created_at)
        return extra.state is FAILED or (held.state in NOT_SERVING and earlier)

    def usurped(self, late: int) -> int:
        return late

    def returned(self, reverts: int, asked: int) -> int:
        """The first of the wish serves, or waits to be superseded, until what was made anew is healthy."""
        return reverts

    def rests(self, held: Remote, remote: list[Remote], status: Any) -> bool:
        """onExternalChange is Report: what somebody else removed, or the late one that superseded it, is left alone."""
        superseded = held.record.state is SUPERSEDED and any(one.gone for one in remote)
        return held.gone or superseded or super().rests(held, remote, status)

    def supersede(self, remote: tuple[Remote, ...], at: int) -> tuple[Remote, ...]:
        """The healthy one takes the agent's only release from the older ones."""
        return tuple(moved(one, SUPERSEDED, "superseded") if n < at and self.alive(one.record) else one
                     for n, one in enumerate(remote))

    def removed(self, record: Any) -> Any:
        return dataclasses.replace(record, state=DELETED, raw_status="deleted") if self.alive(record) else None


class Corrected(Production):
    """A production deployment that is deployed again when somebody else removes it."""

    name = "corrected"
    unread = ("start_time", "completion_time")
    more: ClassVar[dict[str, Any]] = {"onExternalChange": "Correct"}

    def rests(self, held: Remote, remote: list[Remote], status: Any) -> bool:
        return Kind.rests(self, held, remote, status)


class Following(Production):
    """A production deployment of whatever its AgentBuild built last; its manifest lies in the build's context."""

    name = "following"
    wakes = True
    more: ClassVar[dict[str, Any]] = {
        "buildID": None, "buildRef": {"name": NAME}, "manifest": {"fromBuild": True},
        "environments": {"configMapKeyRef": {"name": NAME, "key": "environments"}}}

    def wished(self, number: int) -> dict[str, Any]:
        return {"progressDeadline": f"{number + 1}h"}

    def begin(self, obj: Object, status: Any, source: int) -> Any:
        return dataclasses.replace(super().begin(obj, status, source), build=built(source))

    def source_of(self, observed: Any) -> int:
        return int(observed.build.meta.resource_version)

    def wish(self, observed: Any) -> tuple[int, int]:
        return 0, self.source_of(observed) % BROKEN

    def wanted(self, obj: Object, source: int) -> tuple[int, int]:
        return 0, source % BROKEN

    def local(self, call: Any, source: int) -> Any:
        match call:
            case calls.ReadText():
                return ENVIRONMENTS
            case calls.ReadAgentBuild():
                return built(source)
            case _:
                return built(source).status.context_digest, MANIFEST


class Preview(Production):
    """AgentDeployment with a release of its own, which nobody takes over."""

    name = "preview"
    lingers = True
    more: ClassVar[dict[str, Any]] = {"preview": {"label": "pr-1", "ttl": "500h"}}

    def tolerated(self, held: Any, serving: str | None, extra: Any) -> bool:
        """The one before it serves while the new one failed, or was removed by somebody else."""
        return held.state in NOT_SERVING and extra.id == serving

    def usurped(self, late: int) -> int:
        return 0

    def returned(self, reverts: int, asked: int) -> int:
        return reverts + asked

    def supersede(self, remote: tuple[Remote, ...], at: int) -> tuple[Remote, ...]:
        return remote


class Expiring(Preview):
    """A preview that ends two ticks after its create was written down, and stays away."""

    name = "expiring"
    expires = True
    more: ClassVar[dict[str, Any]] = {"preview": {"label": "pr-1", "ttl": "2m"}}

    def is_over(self, obj: Object, status: Any, one: Remote) -> bool:
        return one.record.expires_at <= NOW or super().is_over(obj, status, one)

    def unfinished(self, status: Any, alive: list[Remote]) -> str | None:
        if alive:
            return f"I20: {alive[0].record.id} outlives its time"
        ready = conditions.find(status.conditions, conditions.READY)
        rests = ready is not None and (ready.status, ready.reason) == ("True", reasons.EXPIRED)
        return None if rests else "I20: it expired, and does not say so"


class Fleeting(Expiring):
    """A preview that deletes its resource when it has ended."""

    name = "fleeting"
    more: ClassVar[dict[str, Any]] = {"preview": {"label": "pr-1", "ttl": "2m", "onExpiry": "Delete"}}

    def may_delete_itself(self, status: Any) -> bool:
        return status.expires_at is not None and status.expires_at - POLICY.expiry_grace <= NOW

    def unfinished(self, status: Any, alive: list[Remote]) -> str | None:
        return "I20: it expired, and is still there"


class Past(Expiring):
    """A preview that had ended before it was applied: nothing is ever created for it."""

    name = "past"
    more: ClassVar[dict[str, Any]] = {"preview": {"label": "pr-1", "expiresAt": "2026-11-24T11:00:00Z"}}


DEPLOYMENTS = (Production, Corrected, Following, Preview, Expiring, Fleeting, Past)
