"""Everything outside the core, as one step at a time: API server, watch, remote, network, clock, user, and crashes.

    State ──successors──> Edge(label, State, system?, writes?, violation)

A step is a system step (it happens by itself, sooner or later), or it is a fault or an act of the user, which there is
a budget for. Only system steps count when asking where it all ends.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterator
from functools import cached_property
from typing import Any

from tests.model import accounts, invariants
from tests.model.account_steps import account_steps
from tests.model.accounts import KNOWN, PRESENT, Bindings, Entry
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
    REMOTE,
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
from tests.model.restores import RESTORES
from tests.model.sights import NONE, read, seen_by_pass
from tests.model.states import AT, BUDGETS, NEVER, Configuration, Edge, Laws, Replica, State
from tests.model.values import HORIZON, LONGEST_LIFE, NOW, TICK, Pool, age, ticks
from tests.model.watch_steps import watch_steps, with_change
from tests.model.watched import WATCHED

from agentex_operator.core import calls, plan
from agentex_operator.core.errors import Conflict, Rejected, Unavailable
from agentex_operator.core.plan import AccountProblem
from agentex_operator.core.remote import Listing

KINDS: dict[str, type[Kind]] = {kind.name: kind for kind in (*BUILDS, *DEPLOYMENTS, *RESTORES, *WATCHED)}
GONE = 0
LOST = Unavailable("the connection was reset")
CLOSED = Unavailable("not sent: the account is not in use any more")
OVERLOADED = Unavailable("503", status=503)
REFUSED = Rejected("422", status=422)
TAKEN = Unavailable("409", status=409)
OVERTAKEN = Conflict("the object changed")


class Model:
    """The steps of one configuration."""

    def __init__(self, configuration: Configuration, laws: Laws | None = None) -> None:
        self.configuration, self.laws = configuration, laws or Laws()
        self.kind: Kind = KINDS[configuration.kind]()
        self.passes = Passes(self.kind)
        self.bindings = Bindings()
        self.objects: Pool[Object] = Pool()
        self.records: Pool[Remote] = Pool()
        self.posts_sent: Pool[Post] = Pool()
        self.sights: Pool[tuple[tuple[int, ...], int]] = Pool()
        self._seen: dict[Hashable, tuple[int, ...]] = {}
        self._moved: dict[Hashable, tuple[int, ...]] = {}
        self._aged: dict[int, int] = {}

    # -- reading a state -----------------------------------------------------------------------------------------

    @cached_property
    def budget(self) -> tuple[int, ...]:
        """What there is to spend."""
        return tuple(self.configuration.budgets.get(name, 0) for name in BUDGETS)

    @cached_property
    def has_actor(self) -> bool:
        """Whether something may happen to the account; else it is known and usable from the start."""
        return self.budget[AT["account"]] > 0

    def entry_after_start(self, found: int) -> Entry:
        """What a process that has just started knows of the account."""
        return accounts.after_start(found) if self.has_actor else KNOWN

    @property
    def initial(self) -> State:
        """Somebody has just created the object."""
        status = self.passes.statuses.number(self.kind.first_status)
        first = Object(1, 1, -1, held=self.kind.held_at_first, asked=0, spec=0, status=status)
        remote = tuple(self.records.number(one) for one in self.kind.first_records)
        return State((self.objects.number(first),), remote, (), 0, self.budget,
                     (Replica(account=self.entry_after_start(PRESENT)),) * self.configuration.replicas)

    def newest(self, state: State) -> Object | None:
        """The object as the API server has it."""
        return self.objects[state.versions[-1]]

    def view(self, state: State, replica: Replica) -> Object | None:
        """The object as a replica's engine has it."""
        return self.objects[state.versions[-1 - replica.lag]]

    def remotes(self, state: State) -> list[Remote]:
        """All remote records, oldest first."""
        return [self.records[number] for number in state.remote]

    def in_account(self, state: State, account: int) -> list[Remote]:
        """The records in that remote account, oldest first."""
        return [self.records[number] for number in self.listed_in(state, account)]

    def posts(self, state: State) -> list[Post]:
        """All creates that may still take effect: on their way, or about to be sent by a fenced pass."""
        return [self.posts_sent[number] for number in state.flights] + [
            self.post_of(replica) for replica in state.replicas
            if replica.fenced and isinstance(self.passes.memories[replica.memory].plan.call, CREATES)]

    def post_of(self, replica: Replica) -> Post:
        """The create that the pass is about to send."""
        observed, planned = self.passes.memories[replica.memory]
        pending = observed.status.operator.pending_create
        since = age(pending.started_at) if pending else 0
        return Post(planned.call, int(observed.meta.uid[-1]), self.kind.wish(observed), since,
                    accounts.remote_account(observed.account))

    def spent(self, state: State, names: tuple[str, ...]) -> int:
        """How much of these budgets is gone."""
        return sum(self.budget[AT[name]] - state.left[AT[name]] for name in names)

    def visible(self, state: State, at: int, call: calls.LookForOurs) -> tuple[int, ...]:
        """What a listing for this owner and these ids shows, in the account of the pass."""
        account = self.speaks_to(state, at)
        key = state.remote, call.owner, call.ids, account
        if key not in self._seen:
            self._seen[key] = tuple(n for n in self.listed_in(state, account) if not self.records[n].gone and (
                self.records[n].record.id in call.ids or self.kind.owner(self.records[n].record) == call.owner))
        return self._seen[key]

    def speaks_to(self, state: State, at: int) -> int:
        """The remote account of the pass, by its number."""
        return accounts.remote_account(self.passes.memories[state.replicas[at].memory].observed.account)

    def listed_in(self, state: State, account: int) -> tuple[int, ...]:
        """The numbers of the records in that remote account."""
        return tuple(n for n in state.remote if self.records[n].account == account)

    # -- changing a state ----------------------------------------------------------------------------------------

    def spend(self, state: State, *names: str) -> State | None:
        """The state after a fault; None where the budget is used up."""
        left = list(state.left)
        for name in names:
            left[AT[name]] -= 1
            if left[AT[name]] < 0:
                return None
        return state._replace(left=tuple(left))

    def see(self, state: State, at: int, lag: int) -> State:
        """A replica's view is now that version; a namesake that took over, or nobody, ends what was planned."""
        replica = state.replicas[at]
        before, after = self.view(state, replica), self.objects[state.versions[-1 - lag]]
        seen = replica._replace(lag=lag, dirty=after is not None)
        if before is None or after is None or before.uid != after.uid:
            seen = seen._replace(due=NEVER, follows=False, shown=0)
            seen = seen if replica.memory else self.without_user(seen)
        return self.with_replica(state, at, seen)

    def without_user(self, replica: Replica) -> Replica:
        """The replica after the resource has gone and no pass over it is in flight: no session is kept for it."""
        return replica._replace(account=accounts.without_user(replica.account))

    def with_replica(self, state: State, at: int, replica: Replica) -> State:
        """The state with that replica changed."""
        return state._replace(replicas=(*state.replicas[:at], replica, *state.replicas[at + 1:]))

    def push(self, state: State, obj: Object | None, by: int | None = None) -> State:
        """A new version. Who wrote it has it as its view; the others fall one behind."""
        replicas = tuple(replica._replace(lag=0) if n == by else replica._replace(lag=replica.lag + 1, fresh=False)
                         for n, replica in enumerate(state.replicas))
        number = GONE if obj is None else self.objects.number(obj)
        return self.trim(state._replace(versions=(*state.versions, number), replicas=replicas))

    def trim(self, state: State) -> State:
        """Forget versions that nobody can read any more; who is further behind than K is brought up to that."""
        most = self.configuration.versions
        for at, replica in enumerate(state.replicas):
            if replica.lag >= most:
                state = self.see(state, at, most - 1)
        keep = most if state.left[AT["travel"]] else 1 + max(replica.lag for replica in state.replicas)
        return state if keep >= len(state.versions) else state._replace(versions=state.versions[-keep:])

    def with_remote(self, state: State, remote: tuple[Remote, ...]) -> State:
        """The state with these records."""
        return state._replace(remote=tuple(self.records.number(one) for one in remote))

    def commit(self, state: State, post: Post) -> State:
        """A create takes effect."""
        record = self.kind.made(len(state.remote) + 1, post.call)
        young = self.budget[AT["lag"]] > 0
        made = Remote(record, post.uid, post.wish, young, account=post.account)
        return state._replace(remote=(*state.remote, self.records.number(made)))

    # -- steps ---------------------------------------------------------------------------------------------------

    def successors(self, state: State) -> Iterator[Edge]:
        """Every step from here."""
        for at in range(len(state.replicas)):
            yield from self.engine_steps(state, at)
            yield from self.crashes(state, at)
        yield from self.remote_steps(state)
        yield from self.source_steps(state)
        yield from self.flight_steps(state)
        yield from self.clock_steps(state)
        yield from self.user_steps(state)
        yield from account_steps(self, state)
        yield from watch_steps(self, state)

    # -- one replica ---------------------------------------------------------------------------------------------

    def engine_steps(self, state: State, at: int) -> Iterator[Edge]:
        """The watch delivers; a pass begins, or makes its next call."""
        replica = state.replicas[at]
        if replica.lag:
            yield Edge(("watch", at, "next"), self.trim(self.see(state, at, replica.lag - 1)), system=True)
        if replica.lag > 1:
            yield Edge(("watch", at, "newest"), self.trim(self.see(state, at, 0)), system=True)
        if replica.memory:
            yield from self.call_steps(state, at)
        elif self.is_woken(state, replica):
            yield Edge(("begin", at), self.begin(state, at), system=True)
            if self.kind.watches and replica.sight.kept != NONE:
                keeping = self.with_replica(state, at, replica._replace(sight=replica.sight._replace(uses_kept=True)))
                yield Edge(("begin, and read what is kept", at), self.begin(keeping, at), system=True)

    def is_woken(self, state: State, replica: Replica) -> bool:
        """News, the time has come, or the remote side looks different."""
        view = self.view(state, replica)
        if view is None:
            return False
        return replica.dirty or replica.due == 0 or (replica.follows and self.looks_different(state, replica, view))

    def looks_different(self, state: State, replica: Replica, view: Object) -> bool:
        """Whether the inventory has something new to tell."""
        mine = tuple(n for n in state.remote if self.records[n].uid == view.uid and not self.records[n].gone)
        return replica.shown == 0 or self.sights[replica.shown][0] != mine

    def begin(self, state: State, at: int) -> State:
        """A pass begins, from the view."""
        replica = state.replicas[at]
        view = self.view(state, replica)
        assert view is not None
        status = self.passes.statuses[view.status]
        account = self.bindings.of(replica.account, view.deleting, status.account, view.account)
        entry = accounts.after_binding(replica.account, account) if self.has_actor else replica.account
        started = replica._replace(dirty=False, due=NEVER, fresh=replica.lag == 0, fenced=False, account=entry)
        begun = self.passes.begin(view, self.source_seen(state, at), account)
        return self.go_on(self.with_replica(state, at, started), at, begun)

    def source_seen(self, state: State, at: int) -> int:
        """The source as the pass of a replica sees it."""
        return seen_by_pass(state.replicas[at].sight, state.source) if self.kind.watches else state.source

    def go_on(self, state: State, at: int, memory: int) -> State:
        """The pass has come so far; perhaps to its end."""
        observed, planned = self.passes.memories[memory]
        replica = self.with_read(state, at, observed)
        if planned.call is not None:
            return self.with_replica(state, at, replica._replace(memory=memory))
        ended = replica._replace(memory=0, fresh=False, fenced=False, sight=replica.sight._replace(uses_kept=False))
        view = self.view(state, replica)
        if view is not None and metadata(view).uid == observed.meta.uid:
            follows = self.follows(replica, observed, planned)
            due = _earlier(replica.due, _due(planned))
            ended = ended._replace(follows=follows, shown=replica.shown if follows else 0, due=due)
        else:
            ended = self.without_user(ended)
        return self.with_replica(state, at, ended)

    def with_read(self, state: State, at: int, observed: Any) -> Replica:
        """The replica after what its pass has read of the ConfigMap since the last step, if it has."""
        replica = state.replicas[at]
        if not self.kind.watches or (version := self.kind.version_read(observed)) is None:
            return replica
        before = self.kind.version_read(self.passes.memories[replica.memory].observed) if replica.memory else None
        if version == before:
            return replica
        sight, woken = read(replica.sight, version, live=version == state.source or version >= BROKEN <= state.source)
        woken = woken and self.view(state, replica) is not None
        return replica._replace(sight=sight, dirty=replica.dirty or woken)

    def follows(self, replica: Replica, observed: Any, planned: plan.Plan[Any]) -> bool:
        """Whether the inventory wakes it after this pass: without an account, not unless that is temporary."""
        if isinstance(observed.account, AccountProblem):
            return replica.follows and observed.account.temporary
        closed = self.has_actor and accounts.is_closed(replica.account, observed.account)
        return planned.follow is not None and not observed.object_gone and not closed

    def settle(self, state: State, at: int, key: Hashable, outcome: Any) -> State:
        """The answer arrives."""
        memory = self.passes.settle(state.replicas[at].memory, key, outcome, self.source_seen(state, at))
        return self.go_on(state, at, memory)

    def crashes(self, state: State, at: int) -> Iterator[Edge]:
        """It dies, and starts again from what the API server shows: the newest, or an old snapshot."""
        if (spent := self.spend(state, "crash")) is None:
            return
        yield Edge(("crash", at), self.restarted(spent, at, 0))
        replica = state.replicas[at]
        if self.is_sending(replica) and (late := self.spend(spent, "late")) is not None:
            post, fault = self.post_of(replica), self.judged_create(replica)
            yield Edge(("crash while sending", at), self.restarted(self.fly(late, post), at, 0), violation=fault)
        if (back := self.spend(spent, "travel")) is not None:
            for lag in range(1, len(state.versions)):
                yield Edge(("crash, back to an old snapshot", at, lag), self.restarted(back, at, lag))

    def is_sending(self, replica: Replica) -> bool:
        """Whether its next call is a create."""
        return bool(replica.memory) and isinstance(self.passes.memories[replica.memory].plan.call, CREATES)

    def restarted(self, state: State, at: int, lag: int) -> State:
        """A new process."""
        there = state.versions[-1 - lag] != GONE
        account = self.entry_after_start(state.account)
        return self.trim(self.with_replica(state, at, Replica(lag=lag, dirty=there, account=account)))

    def fly(self, state: State, post: Post) -> State:
        """The create is on its way, and nobody waits for its answer."""
        return state._replace(flights=tuple(sorted((*state.flights, self.posts_sent.number(post)))))

    # -- calls ---------------------------------------------------------------------------------------------------

    def call_steps(self, state: State, at: int) -> Iterator[Edge]:
        """The next call of a pass, and every way in which it can end; judged by where it goes to."""
        observed, planned = self.passes.memories[state.replicas[at].memory]
        if not isinstance(planned.call, REMOTE):
            yield from self.call_edges(state, at, planned.call)
            return
        replica = state.replicas[at]
        if self.has_actor and accounts.is_closed(replica.account, observed.account):
            unsent = self.with_replica(state, at, replica._replace(fenced=False))
            yield Edge(("not sent: the account is not in use any more", at, planned.call),
                       self.settle(unsent, at, "closed", CLOSED), system=True)
            return
        fault = self.judged(accounts.addressed(observed))
        for edge in self.call_edges(state, at, planned.call):
            yield edge if fault is None else edge._replace(violation=fault)

    def call_edges(self, state: State, at: int, call: Any) -> Iterator[Edge]:
        """The steps of one call."""
        match call:
            case calls.LookForOurs():
                yield from self.looks(state, at, call)
            case calls.FindHolders():
                yield Edge(("find holders", at, call), self.settle(state, at, "holders", self.kind.others), system=True)
                yield from self.fails(state, at, call)
            case calls.Confirm() | calls.ReadCandidate():
                yield self.confirms(state, at, call)
                yield from self.fails(state, at, call)
            case calls.FindAgent():
                found = AGENT if self.listed_in(state, self.speaks_to(state, at)) else calls.Agent.FREE
                yield Edge(("find", at, call), self.settle(state, at, ("agent", found), found), system=True)
                yield from self.fails(state, at, call)
            case calls.CreateBuild() | calls.CreateDeployment():
                yield from self.creates(state, at, call)
            case calls.Remove():
                yield from self.removes(state, at, call)
            case _:
                yield from self.writes(state, at, call)

    def fails(self, state: State, at: int, call: Any) -> Iterator[Edge]:
        """Nothing happens, and nobody says so."""
        if (spent := self.spend(state, "error")) is not None:
            yield Edge(("call fails", at, call), self.settle(spent, at, "error", OVERLOADED))

    def looks(self, state: State, at: int, call: calls.LookForOurs) -> Iterator[Edge]:
        """A listing: of now; or without what is very new; or one that the inventory still has."""
        shown = self.visible(state, at, call)
        yield Edge(("list", at, call, len(shown)), self.listed(state, at, shown, 0), system=True)
        yield from self.fails(state, at, call)
        if shown and self.records[shown[-1]].young and (spent := self.spend(state, "lag")) is not None:
            yield Edge(("list without the newest", at, call), self.listed(spent, at, shown[:-1], 0))
        kept = state.replicas[at].shown
        if kept and (spent := self.spend(state, "stale")) is not None:
            records, old = self.sights[kept]
            if call.fresh_since is None or call.fresh_since <= NOW - old * TICK:
                yield Edge(("list from memory", at, call), self.listed(spent, at, records, old))

    def listed(self, state: State, at: int, shown: tuple[int, ...], old: int) -> State:
        """The listing is the pass's, and the inventory's."""
        replica = state.replicas[at]._replace(shown=self.sights.number((shown, old)), fenced=False)
        listing = Listing(NOW - old * TICK, None, tuple(self.records[n].record for n in shown))
        return self.settle(self.with_replica(state, at, replica), at, ("list", shown, old), listing)

    def confirms(self, state: State, at: int, call: calls.Confirm | calls.ReadCandidate) -> Edge:
        """A GET."""
        here = self.in_account(state, self.speaks_to(state, at))
        found = next((one.record for one in here if one.record.id == call.id and not one.gone), None)
        return Edge(("get", at, call), self.settle(state, at, ("get", found), found), system=True)

    def creates(self, state: State, at: int, call: Any) -> Iterator[Edge]:
        """A create: done and answered; done and not answered; not done; refused; or done much later."""
        replica = state.replicas[at]
        post, fault = self.post_of(replica), self.judged_create(replica) or self.judged(
            invariants.created_in(self, state, self.passes.memories[replica.memory].observed))
        state = self.with_replica(state, at, replica._replace(fenced=False))
        if self.kind.refuses(self.in_account(state, post.account), call):
            yield Edge(("create refused: the name is taken", at, call), self.settle(state, at, "taken", TAKEN),
                       system=True, violation=fault)
            return
        yield self.created(("create", at, call), state, at, post, fault)
        if (spent := self.spend(state, "lost")) is not None:
            yield self.created(("create, answer lost", at, call), spent, at, post, fault)
        yield from (edge._replace(violation=fault) for edge in self.fails(state, at, call))
        if (spent := self.spend(state, "refuse")) is not None:
            yield Edge(("create refused", at, call), self.settle(spent, at, "refused", REFUSED), violation=fault)
        if (spent := self.spend(state, "late")) is not None:
            flown = self.fly(spent, post)
            yield Edge(("create hangs", at, call), self.settle(flown, at, "lost", LOST), violation=fault)

    def judged_create(self, replica: Replica) -> str | None:
        """What is wrong with sending this create."""
        observed = self.passes.memories[replica.memory].observed
        return self.judged(invariants.sent(observed, fenced=replica.fenced))

    def judged(self, fault: str | None) -> str | None:
        """What is wrong, unless it is looked away from."""
        return None if fault and fault.startswith(f"{self.laws.unjudged}:") else fault

    def created(self, label: tuple[Any, ...], state: State, at: int, post: Post, fault: str | None) -> Edge:
        """The create takes effect now; with `answer lost` the client learns nothing, or tries again by itself."""
        lost = "lost" in label[0]
        after = self.commit(state, post)
        fault = fault or invariants.committed(self, after, post)
        if lost and self.laws.client_retries:
            after, lost = self.commit(after, post), False
            fault = fault or invariants.committed(self, after, post)
        number = after.remote[-1]
        settled = self.settle(after, at, "lost", LOST) if lost else self.settle(
            after, at, ("created", number), self.records[number].record)
        return Edge(label, settled, system="lost" not in label[0], writes=True, violation=fault)

    def removes(self, state: State, at: int, call: calls.Remove) -> Iterator[Edge]:
        """A cancellation, or a deletion."""
        place = next((n for n, one in enumerate(self.remotes(state)) if one.record.id == call.id), None)
        assert place is not None, f"{call.id} never was"
        target = self.records[state.remote[place]]
        state = self.with_replica(state, at, state.replicas[at]._replace(fenced=False))
        fault = invariants.removed(self, state, self.passes.memories[state.replicas[at].memory].observed, target)
        record = None if target.gone else self.kind.removed(target.record)
        after, key = state, "no"
        answer: Rejected | None = REFUSED
        if record is not None:
            number, key, answer = self.records.number(target._replace(record=record)), "removed", None
            after = state._replace(remote=(*state.remote[:place], number, *state.remote[place + 1:]))
        yield Edge(("remove", at, call), self.settle(after, at, key, answer), system=True, writes=True,
                   violation=fault)
        if (spent := self.spend(after, "lost")) is not None and record is not None:
            yield Edge(("remove, answer lost", at, call), self.settle(spent, at, "lost", LOST), violation=fault)
        yield from self.fails(state, at, call)

    def writes(self, state: State, at: int, call: Any) -> Iterator[Edge]:
        """A conditional write to the API server."""
        before = self.newest(state)
        state = self.with_replica(state, at, state.replicas[at]._replace(fenced=False))
        if before is None or (self.laws.conditional_writes and not state.replicas[at].fresh):
            seen = self.see(state, at, 0) if state.replicas[at].lag else state
            yield Edge(("write refused: somebody else wrote", at, call),
                       self.settle(self.trim(seen), at, "conflict", OVERTAKEN), system=True)
            return
        after = self.after_write(before, call)
        fault = self.judged_write(state, at, before, after, call)
        written = self.wrote(state, at, after, call)
        fault = fault or self.judged(invariants.followed(call, self.passes.memories[written.replicas[at].memory]))
        yield Edge(("write", at, call), written, system=True, writes=True, violation=fault)
        if (spent := self.spend(state, "lost")) is not None:
            unheard = self.push(spent, after)
            yield Edge(("write, answer lost", at, call), self.settle(unheard, at, "lost", LOST), violation=fault)
        yield from self.fails(state, at, call)

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

    def wrote(self, state: State, at: int, after: Object | None, call: Any) -> State:
        """The write is answered with the new version, which is the view now; a deletion is only seen by the watch."""
        if isinstance(call, calls.DeleteSelf):
            return self.settle(self.push(state, after), at, "deleted", None)
        state = self.push(state, after, by=at)
        replica = state.replicas[at]._replace(fresh=True, fenced=isinstance(call, calls.WriteIntent))
        if after is None:
            replica = replica._replace(dirty=False, due=NEVER, follows=False, shown=0)
        state = self.with_replica(state, at, replica)
        if after is None:
            return self.settle(state, at, "gone", None)
        return self.settle(state, at, ("meta", after[:5]), metadata(after))

    def judged_write(self, state: State, at: int, before: Object, after: Object | None, call: Any) -> str | None:
        """What is wrong with a write."""
        observed = self.passes.memories[state.replicas[at].memory].observed
        if isinstance(call, calls.RemoveFinalizer):
            return invariants.let_go(self, state, before)
        if isinstance(call, calls.DeleteSelf):
            return invariants.deleted_itself(self, before)
        if isinstance(call, calls.AddFinalizer):
            return None
        return invariants.written(self, state, before, call.status, observed)

    # -- the remote side -----------------------------------------------------------------------------------------

    def remote_steps(self, state: State) -> Iterator[Edge]:
        """What is under way ends, what has had its time goes."""
        for at, one in enumerate(self.remotes(state)):
            if self.kind.expires and one.record.expires_at <= NOW and self.kind.alive(one.record):
                yield Edge(("remote", one.record.id, "expires"), self.finished(state, at, DELETED), system=True)
            if one.record.state is WAITING:
                yield Edge(("remote", one.record.id, "succeeds"), self.finished(state, at, SUCCEEDED),
                           system=self.is_sure_to_end(state, one))
                if (spent := self.spend(state, "fail")) is not None:
                    yield Edge(("remote", one.record.id, "fails"), self.finished(spent, at, FAILED))
            if not one.gone and (spent := self.spend(state, "purge")) is not None:
                yield Edge(("remote", one.record.id, "vanishes"), self.vanished(spent, at, one))
            if one.record.state is LEAVING:
                yield Edge(("remote", one.record.id, "is cancelled"), self.finished(state, at, CANCELLED), system=True)
                yield Edge(("remote", one.record.id, "succeeds"), self.finished(state, at, SUCCEEDED), system=True)

    def is_sure_to_end(self, state: State, one: Remote) -> bool:
        """Whether it ends by itself for certain. What nobody wants may run for ever: somebody has to see to its end."""
        newest = self.newest(state)
        if newest is None or newest.deleting or newest.mode == CANCELLING:
            return False
        return not self.kind.lingers or self.passes.statuses[newest.status].remote_id == one.record.id

    def vanished(self, state: State, at: int, one: Remote) -> State:
        """Somebody else did away with it: for the judge it is dead, for us it is a 404."""
        dead = dataclasses.replace(one.record, state=CANCELLED, raw_status="cancelled")
        number = self.records.number(one._replace(record=dead, gone=True))
        return state._replace(remote=(*state.remote[:at], number, *state.remote[at + 1:]))

    def finished(self, state: State, at: int, reached: Any) -> State:
        """One record has got so far."""
        key = state.remote, at, reached
        if key not in self._moved:
            after = self.kind.finished(tuple(self.remotes(state)), at, reached)
            self._moved[key] = tuple(self.records.number(one) for one in after)
        return state._replace(remote=self._moved[key])

    def source_steps(self, state: State) -> Iterator[Edge]:
        """It cannot be read, or what is followed is not ready; sooner or later it is again."""
        if state.source >= BROKEN:
            yield Edge(("the source is mended",), self.with_source(state, state.source - BROKEN), system=True)
        elif (spent := self.spend(state, "unread")) is not None:
            yield Edge(("the source breaks",), self.with_source(spent, state.source + BROKEN))

    def with_source(self, state: State, source: int) -> State:
        """The state with that source; who watches it has news."""
        if self.kind.watches:
            return with_change(state._replace(source=source))
        if not self.kind.wakes:
            return state._replace(source=source)
        told = tuple(one._replace(dirty=self.view(state, one) is not None) for one in state.replicas)
        return state._replace(source=source, replicas=told)

    def flight_steps(self, state: State) -> Iterator[Edge]:
        """A create nobody waits for takes effect, or never will."""
        for at, number in enumerate(state.flights):
            rest = state._replace(flights=(*state.flights[:at], *state.flights[at + 1:]))
            post = self.posts_sent[number]
            if not self.kind.refuses(self.in_account(state, post.account), post.call):
                after = self.commit(rest, post)
                yield Edge(("late commit",), after, system=True, violation=invariants.committed(self, after, post))
            yield Edge(("a create on its way is lost",), rest, system=True)

    # -- time ----------------------------------------------------------------------------------------------------

    def clock_steps(self, state: State) -> Iterator[Edge]:
        """A tick: free while nobody is in a pass; else it makes the pass a slow one."""
        busy = any(replica.memory for replica in state.replicas)
        spent = self.spend(state, "slow") if busy else state
        if spent is None or any(post.age + 1 >= LONGEST_LIFE for post in self.posts(state)):
            return
        after = self.tick(spent)
        if after != state:
            yield Edge(("tick",), after, system=not busy)

    def tick(self, state: State) -> State:
        """Everything is one tick older."""
        aged = state._replace(
            versions=tuple(self.older_object(n) for n in state.versions),
            remote=tuple(self.older_record(n) for n in state.remote),
            flights=tuple(sorted(self.older_post(n) for n in state.flights)),
            replicas=tuple(self.older_replica(one) for one in state.replicas))
        for at, replica in enumerate(aged.replicas):
            if replica.memory:
                aged = self.go_on(aged, at, self.passes.older(replica.memory, self.source_seen(aged, at)))
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
        return replica._replace(due=replica.due - 1 if replica.due > 0 else replica.due, shown=shown,
                                sight=replica.sight._replace(kept=NONE))

    # -- the user ------------------------------------------------------------------------------------------------

    def user_steps(self, state: State) -> Iterator[Edge]:
        """Somebody edits, deletes, or creates anew under the same name."""
        newest = self.newest(state)
        if newest is None:
            yield from self.creates_again(state)
        elif not newest.deleting:
            yield from self.edits(state, newest)
            if (spent := self.spend(state, "source")) is not None:
                yield Edge(("the source changes",), self.with_source(spent, state.source + 1))
            if (spent := self.spend(state, "delete")) is not None:
                yield Edge(("user deletes",), self.push(spent, newest._replace(deleted=0) if newest.held else None))

    def creates_again(self, state: State) -> Iterator[Edge]:
        """A successor under the same name."""
        if (spent := self.spend(state, "recreate")) is not None:
            again = Object(1 + self.spent(spent, ("recreate",)), 1, -1, held=False, asked=0, spec=0,
                           status=self.passes.statuses.number(self.kind.empty))
            yield Edge(("user creates it again",), self.push(spent, again))

    def edits(self, state: State, newest: Object) -> Iterator[Edge]:
        """Another wish, the wish before, a request, the name of the account, a pause."""
        edited = newest._replace(generation=newest.generation + 1)
        if (spent := self.spend(state, "edit")) is not None:
            yield Edge(("user edits",), self.push(spent, edited._replace(spec=newest.spec + 1)))
        if newest.spec and (spent := self.spend(state, "revert")) is not None:
            yield Edge(("user takes the edit back",), self.push(spent, edited._replace(spec=newest.spec - 1)))
        if (spent := self.spend(state, "ask")) is not None:
            yield Edge(("user asks by annotation",), self.push(spent, newest._replace(asked=newest.asked + 1)))
        bound = self.passes.statuses[newest.status].account
        if bound is not None and newest.account is None and (spent := self.spend(state, "refer")) is not None:
            yield Edge(("user names the bound account",), self.push(spent, edited._replace(account=bound.name)))
        yield from self.turns(state, edited)

    def turns(self, state: State, edited: Object) -> Iterator[Edge]:
        """Suspended, or `cancel: true`; and back, which the user need not do: so it must end well either way."""
        if edited.mode != USUAL:
            if (spent := self.spend(state, "resume")) is not None:
                yield Edge(("user takes that back",), self.push(spent, edited._replace(mode=USUAL)))
            return
        for act, mode in (("pause", PAUSED), ("cancel", CANCELLING)):
            if mode in self.kind.modes and (spent := self.spend(state, act)) is not None:
                yield Edge((f"user: {act}",), self.push(spent, edited._replace(mode=mode)))


def _earlier(one: int, other: int) -> int:
    """The earlier of two due times."""
    return max(one, other) if NEVER in (one, other) else min(one, other)


def _due(planned: plan.Plan[Any]) -> int:
    """When the pass asked to be followed by another; what lies beyond the model's time is never."""
    if planned.look_again is None:
        return 0 if planned.failed else NEVER
    wait = ticks(planned.look_again)
    return wait if wait <= HORIZON else NEVER
