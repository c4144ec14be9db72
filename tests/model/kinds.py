"""The two kinds as the model sees them: their wishes, their remote records, and how the remote treats each."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from functools import cache
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

from tests.core.world import ENVIRONMENTS, MANIFEST
from tests.model.values import ACCOUNT, NOW, ORIGIN, POLICY, TICK, plain

from agentex_operator.api.build import AgentBuildSpec, AgentBuildStatus
from agentex_operator.api.common import FINALIZER, Meta, adapter
from agentex_operator.api.deployment import AgentDeploymentSpec, AgentDeploymentStatus
from agentex_operator.core import build, deployment, ownership, plan
from agentex_operator.core.creation import Sightings
from agentex_operator.core.remote import BuildRecord, DeploymentRecord, RemoteState

CLUSTER = "cluster-uid"
NAME = "quote"
AGENT = "agent-1"
WISHES = 4
WAITING, SUCCEEDED, FAILED = RemoteState.WAITING, RemoteState.SUCCEEDED, RemoteState.FAILED
LEAVING, CANCELLED = RemoteState.LEAVING, RemoteState.CANCELLED
DELETED, SUPERSEDED = RemoteState.DELETED, RemoteState.SUPERSEDED
NOT_SERVING = frozenset({FAILED, CANCELLED})
NAMED_BUILD = BuildRecord("build-1", SUCCEEDED, "success", ORIGIN, NAME, "a-1", NAME, "t")
LOCAL = (plan.ResolveSource, plan.StageContext, plan.ReadLogTail, plan.ConfirmBuild)
CREATES = (plan.CreateBuild, plan.CreateDeployment)


class Object(NamedTuple):
    """One version of the custom resource; uid 1 is the first of its name, 2 its successor."""

    uid: int
    generation: int
    deleted: int      # ticks since somebody asked for its deletion; -1: nobody did
    held: bool        # whether our finalizer is on it
    spec: int         # which wish
    status: int       # number of its status
    paused: bool = False

    @property
    def deleting(self) -> bool:
        """Whether somebody asked for its deletion."""
        return self.deleted >= 0


class Remote(NamedTuple):
    """One remote record, with what the judge knows of it beyond what it says itself."""

    record: Any
    uid: int
    wish: tuple[int, int]   # spec and source it was made from
    young: bool = False     # so new that a listing may not show it yet
    gone: bool = False      # somebody else made it vanish: it is not listed, and a GET says 404


class Post(NamedTuple):
    """One create on its way, and who sent it."""

    call: Any
    uid: int
    wish: tuple[int, int]
    age: int = 0            # ticks since its intent was written


@cache
def meta_of(uid: int, generation: int, deleted: int, held: bool) -> Meta:
    """The metadata as the core sees it; the resourceVersion is the model's own affair."""
    return Meta(name=NAME, namespace="team", uid=f"uid-{uid}", generation=generation, creation_timestamp=ORIGIN,
                deletion_timestamp=None if deleted < 0 else NOW - deleted * TICK,
                finalizers=(FINALIZER,) if held else ())


class Kind(ABC):
    """What differs between builds, production deployments and previews."""

    name: ClassVar[str]
    core: ClassVar[ModuleType]
    fields: tuple[str, ...]
    specs: tuple[Any, ...]
    empty: Any
    dead: frozenset[RemoteState]

    def __init__(self) -> None:
        skipped = {"meta", "spec", "cluster", "account", "policy", "build"}
        self.fields = tuple(f.name for f in dataclasses.fields(self.core.Observed) if f.name not in skipped)

    def begin(self, obj: Object, status: Any) -> Any:
        """What a pass begins with."""
        return self.core.Observed(
            meta=meta_of(*obj[:4]), spec=self.specs[obj.spec + WISHES * obj.paused], stored=status, status=status,
            cluster=CLUSTER, account=ACCOUNT, policy=POLICY, began=NOW, seen=Sightings())

    def key(self, observed: Any) -> Any:
        """Stands for it in a dictionary."""
        meta = observed.meta
        return (meta.uid, meta.generation, meta.deletion_timestamp, meta.finalizers, self.spec_number(observed),
                *(getattr(observed, name) for name in self.fields))

    def spec_number(self, observed: Any) -> int:
        """Which spec it is about: the wish, and whether it is paused."""
        return next(n for n, spec in enumerate(self.specs) if spec is observed.spec)

    def plain(self, observed: Any) -> Any:
        """Without what no rule compares."""
        stored, status = plain(observed.stored), plain(observed.status)
        if stored is observed.stored and status is observed.status:
            return observed
        return dataclasses.replace(observed, stored=stored, status=status)

    def alive(self, record: Any) -> bool:
        """Whether it is, or may become, something that costs or serves."""
        return record.state not in self.dead

    def wish(self, observed: Any) -> tuple[int, int]:
        """What a create in this pass is made from."""
        return self.spec_number(observed) % WISHES, 0

    def wanted(self, obj: Object, source: int) -> tuple[int, int]:
        """What the user wants now."""
        return obj.spec, 0

    def refuses(self, remote: list[Remote], call: Any) -> bool:
        """Whether the remote refuses a create for what there is already."""
        return False

    def tolerated(self, held: Any, serving: str | None, extra: Any) -> bool:
        """Whether that one may live on beside the recorded one."""
        return False

    def usurped(self, late: int) -> int:
        """How many creates more so many late commits explain: each may end what was recorded, which is then redone."""
        return 0

    def returned(self, reverts: int) -> int:
        """How many more alive of one wish so many edits taken back explain."""
        return 0

    def rests(self, held: Remote, remote: list[Remote]) -> bool:
        """Whether the recorded one may stay like that for good."""
        return held.record.state in (SUCCEEDED, FAILED)

    @abstractmethod
    def local(self, call: Any, source: int) -> Any:
        """The answer to a question about something that is no part of the protocol."""

    @abstractmethod
    def owner(self, record: Any) -> str | None:
        """Whose the record is, by what it says, as the inventory reads it."""

    @abstractmethod
    def attempt(self, record: Any) -> int:
        """Which attempt of its resource made the record."""

    @abstractmethod
    def made(self, number: int, call: Any) -> Any:
        """The record that a create makes."""

    @abstractmethod
    def finished(self, remote: tuple[Remote, ...], at: int, state: RemoteState) -> tuple[Remote, ...]:
        """The remote side, when that record got so far by itself."""

    @abstractmethod
    def removed(self, record: Any) -> Any:
        """The record after it was asked to go; None: refused, it has ended before, or is not there."""


def moved(one: Remote, state: RemoteState, word: str) -> Remote:
    """The record in another state."""
    return one._replace(record=dataclasses.replace(one.record, state=state, raw_status=word))


class Build(Kind):
    """AgentBuild: ends by itself, is cancelled in two steps, stays for ever."""

    name = "build"
    core = build
    dead = frozenset({SUCCEEDED, FAILED, CANCELLED})
    words: ClassVar[dict[RemoteState, str]] = {SUCCEEDED: "success", FAILED: "failed", CANCELLED: "cancelled"}
    agent: ClassVar[dict[str, str]] = {"agentID": AGENT}

    def __init__(self) -> None:
        super().__init__()
        usual = self.agent | {"image": {"name": NAME}, "source": {"configMap": {"name": NAME, "key": "ctx"}}}
        make = adapter(AgentBuildSpec).validate_python
        self.specs = tuple(make(usual | {"buildArgs": [{"name": "N", "value": str(n)}], "suspend": paused})
                           for paused in (False, True) for n in range(WISHES))
        self.empty = AgentBuildStatus()

    def wish(self, observed: Any) -> tuple[int, int]:
        return self.spec_number(observed) % WISHES, int((observed.staged or "0")[-1])

    def wanted(self, obj: Object, source: int) -> tuple[int, int]:
        return obj.spec, source

    def local(self, call: Any, source: int) -> Any:
        match call:
            case plan.ResolveSource():
                return plan.Revision(f"revision {source}")
            case plan.StageContext():
                return f"context {source}"
            case _:
                return ("ERROR: no such package",)

    def owner(self, record: Any) -> str | None:
        token = ownership.build_token(record.image_tag, record.source_ref)
        return token.owner if token else None

    def attempt(self, record: Any) -> int:
        token = ownership.build_token(record.image_tag, record.source_ref)
        return token.attempt if token else 0

    def made(self, number: int, call: Any) -> Any:
        asked = call.request
        return BuildRecord(f"r{number}", WAITING, "queued", ORIGIN + number * TICK, NAME, AGENT,
                           asked.image_name, asked.image_tag, source_ref=asked.source_ref)

    def finished(self, remote: tuple[Remote, ...], at: int, state: RemoteState) -> tuple[Remote, ...]:
        return (*remote[:at], moved(remote[at], state, self.words[state]), *remote[at + 1:])

    def removed(self, record: Any) -> Any:
        if record.state is not WAITING:
            return record
        return dataclasses.replace(record, state=LEAVING, raw_status="cancelling")


class Named(Build):
    """AgentBuild of an agent by name: its first build creates the agent, and a name is given only once."""

    name = "named"
    agent: ClassVar[dict[str, str]] = {"agentName": NAME}

    def refuses(self, remote: list[Remote], call: Any) -> bool:
        return bool(remote) and call.request.agent_name is not None


class Production(Kind):
    """AgentDeployment: lives until it is deleted, or superseded by the next that gets healthy."""

    name = "production"
    core = deployment
    dead = frozenset({DELETED, SUPERSEDED, CANCELLED})
    preview: ClassVar[dict[str, Any]] = {}
    words: ClassVar[dict[RemoteState, str]] = {SUCCEEDED: "healthy", FAILED: "failed"}

    def __init__(self) -> None:
        super().__init__()
        usual = {"buildID": "build-1", "environments": {"inline": ENVIRONMENTS}} | self.preview
        make = adapter(AgentDeploymentSpec).validate_python
        texts = [MANIFEST.replace("Answers", f"Answers {n}") for n in range(WISHES)]
        self.specs = tuple(make(usual | {"manifest": {"inline": text}, "suspend": paused})
                           for paused in (False, True) for text in texts)
        self.empty = AgentDeploymentStatus()

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

    def returned(self, reverts: int) -> int:
        """The first of the wish serves, or waits to be superseded, until what was made anew is healthy."""
        return reverts

    def rests(self, held: Remote, remote: list[Remote]) -> bool:
        """onExternalChange is Report: what somebody else removed, or the late one that superseded it, is left alone."""
        superseded = held.record.state is SUPERSEDED and any(one.gone for one in remote)
        return held.gone or superseded or super().rests(held, remote)

    def supersede(self, remote: tuple[Remote, ...], at: int) -> tuple[Remote, ...]:
        """The healthy one takes the agent's only release from the older ones."""
        return tuple(moved(one, SUPERSEDED, "superseded") if n < at and self.alive(one.record) else one
                     for n, one in enumerate(remote))

    def removed(self, record: Any) -> Any:
        return dataclasses.replace(record, state=DELETED, raw_status="deleted") if self.alive(record) else None


class Corrected(Production):
    """A production deployment that is deployed again when somebody else removes it."""

    name = "corrected"
    preview: ClassVar[dict[str, Any]] = {"onExternalChange": "Correct"}

    def rests(self, held: Remote, remote: list[Remote]) -> bool:
        return Kind.rests(self, held, remote)


class Preview(Production):
    """AgentDeployment with a release of its own, which nobody takes over."""

    name = "preview"
    preview: ClassVar[dict[str, Any]] = {"preview": {"label": "pr-1", "ttl": "500h"}}

    def tolerated(self, held: Any, serving: str | None, extra: Any) -> bool:
        """The one before it serves while the new one failed, or was removed by somebody else."""
        return held.state in NOT_SERVING and extra.id == serving

    def usurped(self, late: int) -> int:
        return 0

    def supersede(self, remote: tuple[Remote, ...], at: int) -> tuple[Remote, ...]:
        return remote


KINDS = {kind.name: kind for kind in (Build, Named, Production, Corrected, Preview)}
