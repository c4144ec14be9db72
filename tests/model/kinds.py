"""What the model sees of a kind: its wishes, its remote records, and what is peculiar to how the remote treats them."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from functools import cache
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

from tests.model.values import ACCOUNT, NOW, ORIGIN, POLICY, TICK, older, plain

from agentex_operator.api.metadata import (
    EXTEND_REQUESTED_AT,
    FINALIZER,
    REBUILD_REQUESTED_AT,
    RECONCILE_REQUESTED_AT,
    Meta,
)
from agentex_operator.core import calls
from agentex_operator.core.holders import Holder
from agentex_operator.core.observed_records import ObservedRecords
from agentex_operator.core.remote import RemoteState

CLUSTER = "cluster-uid"
NAME = "quote"
AGENT = "agent-1"
WISHES = 4                   # specs that differ in what is made from them
USUAL, PAUSED, CANCELLING = range(3)
BROKEN = 8                   # on top of a source's number: it cannot be read, or is not ready
WAITING, SUCCEEDED, FAILED = RemoteState.WAITING, RemoteState.SUCCEEDED, RemoteState.FAILED
LEAVING, CANCELLED = RemoteState.LEAVING, RemoteState.CANCELLED
DELETED, SUPERSEDED = RemoteState.DELETED, RemoteState.SUPERSEDED
NOT_SERVING = frozenset({FAILED, CANCELLED})
LOCAL = (calls.ResolveSource, calls.StageContext, calls.ReadLogTail, calls.ConfirmBuild, calls.ReadText,
         calls.ReadAgentBuild, calls.ReadBuildManifest)
REQUESTS = (RECONCILE_REQUESTED_AT, REBUILD_REQUESTED_AT, EXTEND_REQUESTED_AT)
CREATES = (calls.CreateBuild, calls.CreateDeployment)
REMOTE = (calls.LookForOurs, calls.Confirm, calls.ReadCandidate, calls.FindAgent, calls.Remove, *CREATES)


class Object(NamedTuple):
    """One version of the custom resource; uid 1 is the first of its name, 2 its successor."""

    uid: int
    generation: int
    deleted: int      # ticks since somebody asked for its deletion; -1: nobody did
    held: bool        # whether our finalizer is on it
    asked: int        # how often the user asked by annotation: look again, build again, extend
    spec: int         # which wish
    status: int       # number of its status
    mode: int = USUAL  # or suspended, or `cancel: true`
    account: str | None = None  # the name of the account in spec.accountRef

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
    account: int = 0        # the remote account it is in


class Post(NamedTuple):
    """One create on its way, and who sent it."""

    call: Any
    uid: int
    wish: tuple[int, int]
    age: int = 0            # ticks since its intent was written
    account: int = 0        # the remote account it goes to


def request(asked: int) -> str:
    """What the annotations say at the user's so-manieth request."""
    return f"request {asked}"


@cache
def meta_of(uid: int, generation: int, deleted: int, held: bool, asked: int) -> Meta:
    """The metadata as the core sees it; the resourceVersion is the model's own affair."""
    return Meta(name=NAME, namespace="team", uid=f"uid-{uid}", generation=generation, creation_timestamp=ORIGIN,
                deletion_timestamp=None if deleted < 0 else NOW - deleted * TICK,
                finalizers=(FINALIZER,) if held else (),
                annotations=dict.fromkeys(REQUESTS, request(asked)) if asked else {})


def metadata(obj: Object) -> Meta:
    """The metadata of one version."""
    return meta_of(*obj[:5])


class Kind(ABC):
    """What differs between builds, production deployments and previews, and between those of one kind."""

    name: ClassVar[str]
    core: ClassVar[ModuleType]
    observed: ClassVar[type[Any]]
    modes: ClassVar[tuple[int, ...]] = (USUAL, PAUSED)
    unread: ClassVar[tuple[str, ...]] = ("start_time", "completion_time", "progressing_since")
    expires: ClassVar[bool] = False       # whether its remote records end by the clock
    wakes: ClassVar[bool] = False         # whether a change of its source is a watch event
    watches: ClassVar[bool] = False       # whether its source is a ConfigMap that each replica watches (sights.py)
    tries: ClassVar[int] = 1              # creates of one wish, if each ends badly
    refusal: ClassVar[str | None] = None  # the reason for which the resource stays Stalled, and creates nothing
    held_at_first: ClassVar[bool] = False  # whether our finalizer is on the object that the user creates
    others: ClassVar[tuple[Holder, ...]] = ()  # the other resources that hold the object to adopt
    lingers: ClassVar[bool] = True        # whether one that is not on record may run for ever
    specs: tuple[Any, ...]
    empty: Any
    dead: frozenset[RemoteState]

    def __init__(self) -> None:
        skipped = {"meta", "spec", "cluster", "account", "policy", "build", "digests"}
        self.fields = tuple(f.name for f in dataclasses.fields(self.observed) if f.name not in skipped)

    @property
    def first_records(self) -> tuple[Remote, ...]:
        """The remote records that are there at the start."""
        return ()

    @property
    def first_status(self) -> Any:
        """The status of the resource at the start."""
        return self.empty

    def begin(self, obj: Object, status: Any, source: int) -> Any:
        """What a pass begins with."""
        return self.observed(
            meta=metadata(obj), spec=self.specs[obj.spec + WISHES * obj.mode], stored=status, status=status,
            cluster=CLUSTER, account=ACCOUNT, policy=POLICY, started_at=NOW, seen=ObservedRecords())

    def key(self, observed: Any) -> Any:
        """Stands for it in a dictionary."""
        meta = observed.meta
        return (meta.uid, meta.generation, meta.deletion_timestamp, meta.finalizers, meta.reconcile_requested_at,
                self.spec_number(observed), self.source_of(observed), *(getattr(observed, n) for n in self.fields))

    def spec_number(self, observed: Any) -> int:
        """Which spec it is about: the wish, and its mode."""
        return next(n for n, spec in enumerate(self.specs) if spec is observed.spec)

    def source_of(self, observed: Any) -> int:
        """The number of the source that the pass began with, where that is part of what is observed."""
        return 0

    def version_read(self, observed: Any) -> int | None:
        """The version of the watched ConfigMap that the pass has read last; None: it has read none."""
        return None

    def plain(self, observed: Any) -> Any:
        """Without what no rule compares."""
        stored, status = plain(observed.stored, self.unread), plain(observed.status, self.unread)
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

    def returned(self, reverts: int, asked: int) -> int:
        """How many more alive of one wish are explained by edits that were taken back, and by requests."""
        return 0

    def is_over(self, obj: Object, status: Any, one: Remote) -> bool:
        """Whether by the user's own wish that one has to go."""
        return obj.mode == CANCELLING

    def may_delete_itself(self, status: Any) -> bool:
        """Whether the resource may ask for its own deletion."""
        return False

    def rests(self, held: Remote, remote: list[Remote], status: Any) -> bool:
        """Whether the recorded one may stay like that for good."""
        return held.record.state in (SUCCEEDED, FAILED)

    def unfinished(self, status: Any, alive: list[Remote]) -> str | None:
        """Of a kind that expires: why that is not how it ends."""
        return None

    def older(self, value: Any) -> Any:
        """A record or a request, one tick later."""
        return older(value) if self.expires else value

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
