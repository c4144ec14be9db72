"""Everything outside the core, as one step at a time: API server, watch, remote, network, clock, user, and crashes.

    World ──successors──> Edge(label, World, system?, writes?, violation)

A step is a system step (it happens by itself, sooner or later), or it is a fault or an act of the user, which there is
a budget for. Only system steps count when asking where it all ends.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from tests.model import invariants
from tests.model.builds import BUILDS
from tests.model.deployments import DEPLOYMENTS
from tests.model.kinds import (
    AGENT,
    BROKEN,
    CANCELLED,
    CANCELLING,
    CREATES,
    DELETED,
    FAILED,
    LEAVING,
    PAUSED,
    SUCCEEDED,
    USUAL,
    WAITING,
    Kind,
    Object,
    Post,
    Remote,
    metadata,
)
from tests.model.passes import Passes
from tests.model.values import HORIZON, LONGEST_LIFE, NOW, TICK, Pool, age, ticks

from agentex_operator.core import calls, plan
from agentex_operator.core.errors import Conflict, Rejected, Unavailable
from agentex_operator.core.remote import Listing

KINDS: dict[str, type[Kind]] = {kind.name: kind for kind in (*BUILDS, *DEPLOYMENTS)}
FAULTS = ("crash", "lost", "error", "late", "refuse", "slow", "lag", "stale", "fail", "purge", "unread", "travel")
ACTS = ("edit", "source", "revert", "pause", "cancel", "resume", "ask", "delete", "recreate")
BUDGETS = FAULTS + ACTS
AT = {name: n for n, name in enumerate(BUDGETS)}
NEVER, GONE = -1, 0
LOST = Unavailable("the connection was reset")
OVERLOADED = Unavailable("503", status=503)
REFUSED = Rejected("422", status=422)
TAKEN = Unavailable("409", status=409)
OVERTAKEN = Conflict("the object changed")


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One search: which kind, how many replicas, how much of what may go wrong, how many versions are kept."""

    kind: str
    replicas: int = 1
    versions: int = 4
    budgets: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Kind, replicas and budgets in a word that the command line reads back."""
        spent = ",".join(f"{key}={self.budgets[key]}" for key in BUDGETS if self.budgets.get(key))
        return f"{self.kind}:{self.replicas}:K{self.versions}:{spent}"

    @classmethod
    def parse(cls, name: str) -> Configuration:
        """The configuration of that name."""
        kind, replicas, versions, spent = name.split(":")
        budgets = {key: int(value) for key, value in (one.split("=") for one in spent.split(",") if one)}
        return cls(kind=kind, replicas=int(replicas), versions=int(versions[1:]), budgets=budgets)


@dataclass
class Laws:
    """How the outside behaves towards us; mutants bend them."""

    conditional_writes: bool = True
    client_retries: bool = False
    unjudged: str = ""        # an invariant that is looked away from, to see what else would notice


class Replica(NamedTuple):
    """One operator process: what its engine, its inventory and its pass in flight remember."""

    lag: int = 0             # versions that its view is behind
    dirty: bool = True       # the view is news
    due: int = NEVER         # ticks until it looks by itself
    follows: bool = False    # its inventory wakes it when the remote side looks other than `shown`
    shown: int = 0
    memory: int = 0          # of the pass in flight; 0: none
    fresh: bool = False      # the pass's view is still the newest version
    fenced: bool = False     # the pass's last call was a conditional write of an intent


class World(NamedTuple):
    """One state: versions of the object (newest last), remote records, creates on their way, and the rest."""

    versions: tuple[int, ...]
    remote: tuple[int, ...]
    flights: tuple[int, ...]
    source: int
    left: tuple[int, ...]
    replicas: tuple[Replica, ...]


class Edge(NamedTuple):
    """One step; `label` is rendered only when somebody reads it."""

    label: tuple[Any, ...]
    world: World
    system: bool = False
    writes: bool = False
    violation: str | None = None


class Model:
    """The steps of one configuration."""

    def __init__(self, configuration: Configuration, laws: Laws | None = None) -> None:
        self.configuration, self.laws = configuration, laws or Laws()
        self.kind: Kind = KINDS[configuration.kind]()
        self.passes = Passes(self.kind)
        self.objects: Pool[Object] = Pool()
        self.records: Pool[Remote] = Pool()
        self.posts_sent: Pool[Post] = Pool()
        self.sights: Pool[tuple[tuple[int, ...], int]] = Pool()
        self._seen: dict[Hashable, tuple[int, ...]] = {}
        self._moved: dict[Hashable, tuple[int, ...]] = {}
        self._aged: dict[int, int] = {}

    # -- reading a world -----------------------------------------------------------------------------------------

    @cached_property
    def budget(self) -> tuple[int, ...]:
        """What there is to spend."""
        return tuple(self.configuration.budgets.get(name, 0) for name in BUDGETS)

    @property
    def initial(self) -> World:
        """Somebody has just created the object."""
        first = Object(1, 1, -1, held=False, asked=0, spec=0, status=self.passes.statuses.number(self.kind.empty))
        return World((self.objects.number(first),), (), (), 0, self.budget,
                     (Replica(),) * self.configuration.replicas)

    def newest(self, world: World) -> Object | None:
        """The object as the API server has it."""
        return self.objects[world.versions[-1]]

    def view(self, world: World, replica: Replica) -> Object | None:
        """The object as a replica's engine has it."""
        return self.objects[world.versions[-1 - replica.lag]]

    def remotes(self, world: World) -> list[Remote]:
        """All remote records, oldest first."""
        return [self.records[number] for number in world.remote]

    def posts(self, world: World) -> list[Post]:
        """All creates that may still take effect: on their way, or about to be sent by a fenced pass."""
        return [self.posts_sent[number] for number in world.flights] + [
            self.post_of(replica) for replica in world.replicas
            if replica.fenced and isinstance(self.passes.memories[replica.memory].plan.call, CREATES)]

    def post_of(self, replica: Replica) -> Post:
        """The create that the pass is about to send."""
        observed, planned = self.passes.memories[replica.memory]
        pending = observed.status.pending_create
        since = age(pending.started_at) if pending else 0
        return Post(planned.call, int(observed.meta.uid[-1]), self.kind.wish(observed), since)

    def spent(self, world: World, names: tuple[str, ...]) -> int:
        """How much of these budgets is gone."""
        return sum(self.budget[AT[name]] - world.left[AT[name]] for name in names)

    def visible(self, world: World, call: calls.LookForOurs) -> tuple[int, ...]:
        """What a listing for this owner and these ids shows."""
        key = world.remote, call.owner, call.ids
        if key not in self._seen:
            self._seen[key] = tuple(n for n in world.remote if not self.records[n].gone and (
                self.records[n].record.id in call.ids or self.kind.owner(self.records[n].record) == call.owner))
        return self._seen[key]

    # -- changing a world ----------------------------------------------------------------------------------------

    def spend(self, world: World, *names: str) -> World | None:
        """The world after a fault; None where the budget is used up."""
        left = list(world.left)
        for name in names:
            left[AT[name]] -= 1
            if left[AT[name]] < 0:
                return None
        return world._replace(left=tuple(left))

    def see(self, world: World, at: int, lag: int) -> World:
        """A replica's view is now that version; a namesake that took over, or nobody, ends what was planned."""
        replica = world.replicas[at]
        before, after = self.view(world, replica), self.objects[world.versions[-1 - lag]]
        seen = replica._replace(lag=lag, dirty=after is not None)
        if before is None or after is None or before.uid != after.uid:
            seen = seen._replace(due=NEVER, follows=False, shown=0)
        return self.with_replica(world, at, seen)

    def with_replica(self, world: World, at: int, replica: Replica) -> World:
        """The world with that replica changed."""
        return world._replace(replicas=(*world.replicas[:at], replica, *world.replicas[at + 1:]))

    def push(self, world: World, obj: Object | None, by: int | None = None) -> World:
        """A new version. Who wrote it has it as its view; the others fall one behind."""
        replicas = tuple(replica._replace(lag=0) if n == by else replica._replace(lag=replica.lag + 1, fresh=False)
                         for n, replica in enumerate(world.replicas))
        number = GONE if obj is None else self.objects.number(obj)
        return self.trim(world._replace(versions=(*world.versions, number), replicas=replicas))

    def trim(self, world: World) -> World:
        """Forget versions that nobody can read any more; who is further behind than K is brought up to that."""
        most = self.configuration.versions
        for at, replica in enumerate(world.replicas):
            if replica.lag >= most:
                world = self.see(world, at, most - 1)
        keep = most if world.left[AT["travel"]] else 1 + max(replica.lag for replica in world.replicas)
        return world if keep >= len(world.versions) else world._replace(versions=world.versions[-keep:])

    def with_remote(self, world: World, remote: tuple[Remote, ...]) -> World:
        """The world with these records."""
        return world._replace(remote=tuple(self.records.number(one) for one in remote))

    def commit(self, world: World, post: Post) -> World:
        """A create takes effect."""
        record = self.kind.made(len(world.remote) + 1, post.call)
        young = self.budget[AT["lag"]] > 0
        return world._replace(remote=(*world.remote, self.records.number(Remote(record, post.uid, post.wish, young))))

    # -- steps ---------------------------------------------------------------------------------------------------

    def successors(self, world: World) -> Iterator[Edge]:
        """Every step from here."""
        for at in range(len(world.replicas)):
            yield from self.engine_steps(world, at)
            yield from self.crashes(world, at)
        yield from self.remote_steps(world)
        yield from self.source_steps(world)
        yield from self.flight_steps(world)
        yield from self.clock_steps(world)
        yield from self.user_steps(world)

    # -- one replica ---------------------------------------------------------------------------------------------

    def engine_steps(self, world: World, at: int) -> Iterator[Edge]:
        """The watch delivers; a pass begins, or makes its next call."""
        replica = world.replicas[at]
        if replica.lag:
            yield Edge(("watch", at, "next"), self.trim(self.see(world, at, replica.lag - 1)), system=True)
        if replica.lag > 1:
            yield Edge(("watch", at, "newest"), self.trim(self.see(world, at, 0)), system=True)
        if replica.memory:
            yield from self.call_steps(world, at)
        elif self.is_woken(world, replica):
            yield Edge(("begin", at), self.begin(world, at), system=True)

    def is_woken(self, world: World, replica: Replica) -> bool:
        """News, the time has come, or the remote side looks different."""
        view = self.view(world, replica)
        if view is None:
            return False
        return replica.dirty or replica.due == 0 or (replica.follows and self.looks_different(world, replica, view))

    def looks_different(self, world: World, replica: Replica, view: Object) -> bool:
        """Whether the inventory has something new to tell."""
        mine = tuple(n for n in world.remote if self.records[n].uid == view.uid and not self.records[n].gone)
        return replica.shown == 0 or self.sights[replica.shown][0] != mine

    def begin(self, world: World, at: int) -> World:
        """A pass begins, from the view."""
        replica = world.replicas[at]
        view = self.view(world, replica)
        assert view is not None
        started = replica._replace(dirty=False, due=NEVER, fresh=replica.lag == 0, fenced=False)
        return self.go_on(self.with_replica(world, at, started), at, self.passes.begin(view, world.source))

    def go_on(self, world: World, at: int, memory: int) -> World:
        """The pass has come so far; perhaps to its end."""
        observed, planned = self.passes.memories[memory]
        replica = world.replicas[at]
        if planned.call is not None:
            return self.with_replica(world, at, replica._replace(memory=memory))
        ended = replica._replace(memory=0, fresh=False, fenced=False)
        view = self.view(world, replica)
        if view is not None and metadata(view).uid == observed.meta.uid:
            follows = planned.follow is not None and not observed.object_gone
            ended = ended._replace(follows=follows, shown=replica.shown if follows else 0, due=_due(planned))
        return self.with_replica(world, at, ended)

    def settle(self, world: World, at: int, key: Hashable, outcome: Any) -> World:
        """The answer arrives."""
        memory = self.passes.settle(world.replicas[at].memory, key, outcome, world.source)
        return self.go_on(world, at, memory)

    def crashes(self, world: World, at: int) -> Iterator[Edge]:
        """It dies, and starts again from what the API server shows: the newest, or an old snapshot."""
        if (spent := self.spend(world, "crash")) is None:
            return
        yield Edge(("crash", at), self.restarted(spent, at, 0))
        replica = world.replicas[at]
        if self.is_sending(replica) and (late := self.spend(spent, "late")) is not None:
            post, fault = self.post_of(replica), self.judged_create(replica)
            yield Edge(("crash while sending", at), self.restarted(self.fly(late, post), at, 0), violation=fault)
        if (back := self.spend(spent, "travel")) is not None:
            for lag in range(1, len(world.versions)):
                yield Edge(("crash, back to an old snapshot", at, lag), self.restarted(back, at, lag))

    def is_sending(self, replica: Replica) -> bool:
        """Whether its next call is a create."""
        return bool(replica.memory) and isinstance(self.passes.memories[replica.memory].plan.call, CREATES)

    def restarted(self, world: World, at: int, lag: int) -> World:
        """A new process."""
        there = world.versions[-1 - lag] != GONE
        return self.trim(self.with_replica(world, at, Replica(lag=lag, dirty=there)))

    def fly(self, world: World, post: Post) -> World:
        """The create is on its way, and nobody waits for its answer."""
        return world._replace(flights=tuple(sorted((*world.flights, self.posts_sent.number(post)))))

    # -- calls ---------------------------------------------------------------------------------------------------

    def call_steps(self, world: World, at: int) -> Iterator[Edge]:
        """The next call of a pass, and every way in which it can end."""
        call = self.passes.memories[world.replicas[at].memory].plan.call
        match call:
            case calls.LookForOurs():
                yield from self.looks(world, at, call)
            case calls.Confirm():
                yield self.confirms(world, at, call)
                yield from self.fails(world, at, call)
            case calls.FindAgent():
                found = AGENT if world.remote else calls.Agent.FREE
                yield Edge(("find", at, call), self.settle(world, at, ("agent", found), found), system=True)
                yield from self.fails(world, at, call)
            case calls.CreateBuild() | calls.CreateDeployment():
                yield from self.creates(world, at, call)
            case calls.Remove():
                yield from self.removes(world, at, call)
            case _:
                yield from self.writes(world, at, call)

    def fails(self, world: World, at: int, call: Any) -> Iterator[Edge]:
        """Nothing happens, and nobody says so."""
        if (spent := self.spend(world, "error")) is not None:
            yield Edge(("call fails", at, call), self.settle(spent, at, "error", OVERLOADED))

    def looks(self, world: World, at: int, call: calls.LookForOurs) -> Iterator[Edge]:
        """A listing: of now; or without what is very new; or one that the inventory still has."""
        shown = self.visible(world, call)
        yield Edge(("list", at, call, len(shown)), self.listed(world, at, shown, 0), system=True)
        yield from self.fails(world, at, call)
        if shown and self.records[shown[-1]].young and (spent := self.spend(world, "lag")) is not None:
            yield Edge(("list without the newest", at, call), self.listed(spent, at, shown[:-1], 0))
        kept = world.replicas[at].shown
        if kept and (spent := self.spend(world, "stale")) is not None:
            records, old = self.sights[kept]
            if call.fresh_since is None or call.fresh_since <= NOW - old * TICK:
                yield Edge(("list from memory", at, call), self.listed(spent, at, records, old))

    def listed(self, world: World, at: int, shown: tuple[int, ...], old: int) -> World:
        """The listing is the pass's, and the inventory's."""
        replica = world.replicas[at]._replace(shown=self.sights.number((shown, old)), fenced=False)
        listing = Listing(NOW - old * TICK, None, tuple(self.records[n].record for n in shown))
        return self.settle(self.with_replica(world, at, replica), at, ("list", shown, old), listing)

    def confirms(self, world: World, at: int, call: calls.Confirm) -> Edge:
        """A GET."""
        found = next((one.record for one in self.remotes(world) if one.record.id == call.id and not one.gone), None)
        return Edge(("get", at, call), self.settle(world, at, ("get", found), found), system=True)

    def creates(self, world: World, at: int, call: Any) -> Iterator[Edge]:
        """A create: done and answered; done and not answered; not done; refused; or done much later."""
        replica = world.replicas[at]
        post, fault = self.post_of(replica), self.judged_create(replica)
        world = self.with_replica(world, at, replica._replace(fenced=False))
        if self.kind.refuses(self.remotes(world), call):
            yield Edge(("create refused: the name is taken", at, call), self.settle(world, at, "taken", TAKEN),
                       system=True, violation=fault)
            return
        yield self.created(("create", at, call), world, at, post, fault)
        if (spent := self.spend(world, "lost")) is not None:
            yield self.created(("create, answer lost", at, call), spent, at, post, fault)
        yield from (edge._replace(violation=fault) for edge in self.fails(world, at, call))
        if (spent := self.spend(world, "refuse")) is not None:
            yield Edge(("create refused", at, call), self.settle(spent, at, "refused", REFUSED), violation=fault)
        if (spent := self.spend(world, "late")) is not None:
            flown = self.fly(spent, post)
            yield Edge(("create hangs", at, call), self.settle(flown, at, "lost", LOST), violation=fault)

    def judged_create(self, replica: Replica) -> str | None:
        """What is wrong with sending this create."""
        observed = self.passes.memories[replica.memory].observed
        return self.judged(invariants.sent(observed, fenced=replica.fenced))

    def judged(self, fault: str | None) -> str | None:
        """What is wrong, unless it is looked away from."""
        return None if fault and fault.startswith(f"{self.laws.unjudged}:") else fault

    def created(self, label: tuple[Any, ...], world: World, at: int, post: Post, fault: str | None) -> Edge:
        """The create takes effect now; with `answer lost` the client learns nothing, or tries again by itself."""
        lost = "lost" in label[0]
        after = self.commit(world, post)
        fault = fault or invariants.committed(self, after, post)
        if lost and self.laws.client_retries:
            after, lost = self.commit(after, post), False
            fault = fault or invariants.committed(self, after, post)
        number = after.remote[-1]
        settled = self.settle(after, at, "lost", LOST) if lost else self.settle(
            after, at, ("created", number), self.records[number].record)
        return Edge(label, settled, system="lost" not in label[0], writes=True, violation=fault)

    def removes(self, world: World, at: int, call: calls.Remove) -> Iterator[Edge]:
        """A cancellation, or a deletion."""
        place = next((n for n, one in enumerate(self.remotes(world)) if one.record.id == call.id), None)
        assert place is not None, f"{call.id} never was"
        target = self.records[world.remote[place]]
        world = self.with_replica(world, at, world.replicas[at]._replace(fenced=False))
        fault = invariants.removed(self, world, self.passes.memories[world.replicas[at].memory].observed, target)
        record = None if target.gone else self.kind.removed(target.record)
        after, key, answer = world, "no", REFUSED
        if record is not None:
            number, key, answer = self.records.number(target._replace(record=record)), "removed", None
            after = world._replace(remote=(*world.remote[:place], number, *world.remote[place + 1:]))
        yield Edge(("remove", at, call), self.settle(after, at, key, answer), system=True, writes=True,
                   violation=fault)
        if (spent := self.spend(after, "lost")) is not None and record is not None:
            yield Edge(("remove, answer lost", at, call), self.settle(spent, at, "lost", LOST), violation=fault)
        yield from self.fails(world, at, call)

    def writes(self, world: World, at: int, call: Any) -> Iterator[Edge]:
        """A conditional write to the API server."""
        before = self.newest(world)
        world = self.with_replica(world, at, world.replicas[at]._replace(fenced=False))
        if before is None or (self.laws.conditional_writes and not world.replicas[at].fresh):
            seen = self.see(world, at, 0) if world.replicas[at].lag else world
            yield Edge(("write refused: somebody else wrote", at, call),
                       self.settle(self.trim(seen), at, "conflict", OVERTAKEN), system=True)
            return
        after = self.after_write(before, call)
        fault = self.judged_write(world, at, before, after, call)
        written = self.wrote(world, at, after, call)
        fault = fault or self.judged(invariants.followed(call, self.passes.memories[written.replicas[at].memory]))
        yield Edge(("write", at, call), written, system=True, writes=True, violation=fault)
        if (spent := self.spend(world, "lost")) is not None:
            unheard = self.push(spent, after)
            yield Edge(("write, answer lost", at, call), self.settle(unheard, at, "lost", LOST), violation=fault)
        yield from self.fails(world, at, call)

    def after_write(self, before: Object, call: Any) -> Object | None:
        """The object that the API server has after it."""
        match call:
            case calls.AddFinalizer():
                return before._replace(held=True)
            case calls.RemoveFinalizer():
                return None if before.deleting else before._replace(held=False)
            case calls.DeleteSelf():
                return before._replace(deleted=0) if before.held else None
            case _:
                return before._replace(status=self.passes.statuses.number(call.status))

    def wrote(self, world: World, at: int, after: Object | None, call: Any) -> World:
        """The write is answered with the new version, which is the view now; a deletion is only seen by the watch."""
        if isinstance(call, calls.DeleteSelf):
            return self.settle(self.push(world, after), at, "deleted", None)
        world = self.push(world, after, by=at)
        replica = world.replicas[at]._replace(fresh=True, fenced=isinstance(call, calls.WriteIntent))
        if after is None:
            replica = replica._replace(dirty=False, due=NEVER, follows=False, shown=0)
        world = self.with_replica(world, at, replica)
        if after is None:
            return self.settle(world, at, "gone", None)
        return self.settle(world, at, ("meta", after[:5]), metadata(after))

    def judged_write(self, world: World, at: int, before: Object, after: Object | None, call: Any) -> str | None:
        """What is wrong with a write."""
        observed = self.passes.memories[world.replicas[at].memory].observed
        if isinstance(call, calls.RemoveFinalizer):
            return invariants.let_go(self, world, before)
        if isinstance(call, calls.DeleteSelf):
            return invariants.deleted_itself(self, before)
        if isinstance(call, calls.AddFinalizer):
            return None
        return invariants.written(self, world, before, call.status, observed)

    # -- the remote side -----------------------------------------------------------------------------------------

    def remote_steps(self, world: World) -> Iterator[Edge]:
        """What is under way ends, what has had its time goes."""
        for at, one in enumerate(self.remotes(world)):
            if self.kind.expires and one.record.expires_at <= NOW and self.kind.alive(one.record):
                yield Edge(("remote", one.record.id, "expires"), self.finished(world, at, DELETED), system=True)
            if one.record.state is WAITING:
                yield Edge(("remote", one.record.id, "succeeds"), self.finished(world, at, SUCCEEDED),
                           system=self.is_sure_to_end(world, one))
                if (spent := self.spend(world, "fail")) is not None:
                    yield Edge(("remote", one.record.id, "fails"), self.finished(spent, at, FAILED))
            if not one.gone and (spent := self.spend(world, "purge")) is not None:
                yield Edge(("remote", one.record.id, "vanishes"), self.vanished(spent, at, one))
            if one.record.state is LEAVING:
                yield Edge(("remote", one.record.id, "is cancelled"), self.finished(world, at, CANCELLED), system=True)
                yield Edge(("remote", one.record.id, "succeeds"), self.finished(world, at, SUCCEEDED), system=True)

    def is_sure_to_end(self, world: World, one: Remote) -> bool:
        """Whether it ends by itself for certain. What nobody wants may run for ever: somebody has to see to its end."""
        newest = self.newest(world)
        if newest is None or newest.deleting or newest.mode == CANCELLING:
            return False
        return not self.kind.lingers or self.passes.statuses[newest.status].remote_id == one.record.id

    def vanished(self, world: World, at: int, one: Remote) -> World:
        """Somebody else did away with it: for the judge it is dead, for us it is a 404."""
        dead = dataclasses.replace(one.record, state=CANCELLED, raw_status="cancelled")
        number = self.records.number(one._replace(record=dead, gone=True))
        return world._replace(remote=(*world.remote[:at], number, *world.remote[at + 1:]))

    def finished(self, world: World, at: int, state: Any) -> World:
        """One record has got so far."""
        key = world.remote, at, state
        if key not in self._moved:
            after = self.kind.finished(tuple(self.remotes(world)), at, state)
            self._moved[key] = tuple(self.records.number(one) for one in after)
        return world._replace(remote=self._moved[key])

    def source_steps(self, world: World) -> Iterator[Edge]:
        """It cannot be read, or what is followed is not ready; sooner or later it is again."""
        if world.source >= BROKEN:
            yield Edge(("the source is mended",), self.with_source(world, world.source - BROKEN), system=True)
        elif (spent := self.spend(world, "unread")) is not None:
            yield Edge(("the source breaks",), self.with_source(spent, world.source + BROKEN))

    def with_source(self, world: World, source: int) -> World:
        """The world with that source; who watches it has news."""
        if not self.kind.wakes:
            return world._replace(source=source)
        told = tuple(one._replace(dirty=self.view(world, one) is not None) for one in world.replicas)
        return world._replace(source=source, replicas=told)

    def flight_steps(self, world: World) -> Iterator[Edge]:
        """A create nobody waits for takes effect, or never will."""
        for at, number in enumerate(world.flights):
            rest = world._replace(flights=(*world.flights[:at], *world.flights[at + 1:]))
            post = self.posts_sent[number]
            if not self.kind.refuses(self.remotes(world), post.call):
                after = self.commit(rest, post)
                yield Edge(("late commit",), after, system=True, violation=invariants.committed(self, after, post))
            yield Edge(("a create on its way is lost",), rest, system=True)

    # -- time ----------------------------------------------------------------------------------------------------

    def clock_steps(self, world: World) -> Iterator[Edge]:
        """A tick: free while nobody is in a pass; else it makes the pass a slow one."""
        busy = any(replica.memory for replica in world.replicas)
        spent = self.spend(world, "slow") if busy else world
        if spent is None or any(post.age + 1 >= LONGEST_LIFE for post in self.posts(world)):
            return
        after = self.tick(spent)
        if after != world:
            yield Edge(("tick",), after, system=not busy)

    def tick(self, world: World) -> World:
        """Everything is one tick older."""
        aged = world._replace(
            versions=tuple(self.older_object(n) for n in world.versions),
            remote=tuple(self.older_record(n) for n in world.remote),
            flights=tuple(sorted(self.older_post(n) for n in world.flights)),
            replicas=tuple(self.older_replica(one) for one in world.replicas))
        for at, replica in enumerate(aged.replicas):
            if replica.memory:
                aged = self.go_on(aged, at, self.passes.older(replica.memory, world.source))
        return aged

    def older_object(self, number: int) -> int:
        """One version of the object, a tick later."""
        if number == GONE:
            return GONE
        if number not in self._aged:
            obj = self.objects[number]
            deleted = min(obj.deleted + 1, HORIZON) if obj.deleting else -1
            self._aged[number] = self.objects.number(
                obj._replace(deleted=deleted, status=self.passes.older_status(obj.status)))
        return self._aged[number]

    def older_record(self, number: int) -> int:
        """A record that every listing shows by now."""
        one = self.records[number]
        if not (one.young or self.kind.expires):
            return number
        return self.records.number(one._replace(young=False, record=self.kind.older(one.record)))

    def older_post(self, number: int) -> int:
        """A create on its way, a tick later."""
        post = self.posts_sent[number]
        return self.posts_sent.number(post._replace(age=post.age + 1, call=self.kind.older(post.call)))

    def older_replica(self, replica: Replica) -> Replica:
        """Its own looks are nearer; what its inventory keeps is older, where that matters."""
        shown = replica.shown
        if shown:
            records, old = self.sights[shown]
            kept = tuple(self.older_record(n) for n in records)
            old = min(old + 1, HORIZON) if self.budget[AT["stale"]] else 0
            shown = self.sights.number((kept, old))
        return replica._replace(due=replica.due - 1 if replica.due > 0 else replica.due, shown=shown)

    # -- the user ------------------------------------------------------------------------------------------------

    def user_steps(self, world: World) -> Iterator[Edge]:
        """Somebody edits, deletes, or creates anew under the same name."""
        newest = self.newest(world)
        if newest is None:
            yield from self.creates_again(world)
        elif not newest.deleting:
            yield from self.edits(world, newest)
            if (spent := self.spend(world, "source")) is not None:
                yield Edge(("the source changes",), self.with_source(spent, world.source + 1))
            if (spent := self.spend(world, "delete")) is not None:
                yield Edge(("user deletes",), self.push(spent, newest._replace(deleted=0) if newest.held else None))

    def creates_again(self, world: World) -> Iterator[Edge]:
        """A successor under the same name."""
        if (spent := self.spend(world, "recreate")) is not None:
            again = Object(1 + self.spent(spent, ("recreate",)), 1, -1, held=False, asked=0, spec=0,
                           status=self.passes.statuses.number(self.kind.empty))
            yield Edge(("user creates it again",), self.push(spent, again))

    def edits(self, world: World, newest: Object) -> Iterator[Edge]:
        """Another wish, the wish before, a request, a pause."""
        edited = newest._replace(generation=newest.generation + 1)
        if (spent := self.spend(world, "edit")) is not None:
            yield Edge(("user edits",), self.push(spent, edited._replace(spec=newest.spec + 1)))
        if newest.spec and (spent := self.spend(world, "revert")) is not None:
            yield Edge(("user takes the edit back",), self.push(spent, edited._replace(spec=newest.spec - 1)))
        if (spent := self.spend(world, "ask")) is not None:
            yield Edge(("user asks by annotation",), self.push(spent, newest._replace(asked=newest.asked + 1)))
        yield from self.turns(world, edited)

    def turns(self, world: World, edited: Object) -> Iterator[Edge]:
        """Suspended, or `cancel: true`; and back, which the user need not do: so it must end well either way."""
        if edited.mode != USUAL:
            if (spent := self.spend(world, "resume")) is not None:
                yield Edge(("user takes that back",), self.push(spent, edited._replace(mode=USUAL)))
            return
        for act, mode in (("pause", PAUSED), ("cancel", CANCELLING)):
            if mode in self.kind.modes and (spent := self.spend(world, act)) is not None:
                yield Edge((f"user: {act}",), self.push(spent, edited._replace(mode=mode)))


def _due(planned: plan.Plan[Any]) -> int:
    """When the pass asked to be followed by another; what lies beyond the model's time is never."""
    if planned.look_again is None:
        return 0 if planned.failed else NEVER
    wait = ticks(planned.look_again)
    return wait if wait <= HORIZON else NEVER
