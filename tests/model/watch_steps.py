"""The steps of the watch of a ConfigMap: a change is told, or lost with the watch; a list; the right to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.model.sights import BREAK, DENIED, OPEN, Sight, listed, told
from tests.model.states import NEVER, Edge, State
from tests.model.values import POLICY, ticks

if TYPE_CHECKING:
    from tests.model.environment import Model

POLL = ticks(POLICY.reference_resync)


def watch_steps(model: Model, state: State) -> Iterator[Edge]:
    """What the watch of each replica does, and what befalls it. A right that was taken away need not come back."""
    if not model.kind.watches:
        return
    for at, replica in enumerate(state.replicas):
        sight = replica.sight
        if sight.watch == OPEN:
            yield from _while_open(model, state, at)
        else:
            yield Edge(("the ConfigMaps are listed", at), seeing(model, state, at, *listed(sight, state.source)),
                       system=sight.watch == BREAK)


def _while_open(model: Model, state: State, at: int) -> Iterator[Edge]:
    sight = state.replicas[at].sight
    if sight.pending:
        after, woken = told(sight, state.source)
        after = after if model.laws.events_drop_reads else after._replace(kept=sight.kept)
        yield Edge(("the change is told", at), seeing(model, state, at, after, woken), system=True)
    if (spent := model.spend(state, "gap")) is not None:
        broken = sight._replace(watch=BREAK, pending=False)
        yield Edge(("the watch breaks", at), seeing(model, spent, at, broken, woken=False))
    if (spent := model.spend(state, "deny")) is not None:
        denied = sight._replace(watch=DENIED, pending=False, live=False)
        yield Edge(("the right is taken away", at), polling(seeing(model, spent, at, denied, woken=False), at))


def seeing(model: Model, state: State, at: int, sight: Sight, woken: bool) -> State:
    """The state in which a replica sees that; a resource that it knows may be woken."""
    replica = state.replicas[at]
    dirty = replica.dirty or (woken and model.view(state, replica) is not None)
    return model.with_replica(state, at, replica._replace(sight=sight, dirty=dirty))


def polling(state: State, at: int) -> State:
    """The state in which a replica looks again by itself before long."""
    replica = state.replicas[at]
    due = POLL if replica.due == NEVER else min(replica.due, POLL)
    return state._replace(replicas=(*state.replicas[:at], replica._replace(due=due), *state.replicas[at + 1:]))


def with_change(state: State) -> State:
    """The state in which the ConfigMap has changed: every open watch will tell."""
    changed = tuple(one._replace(sight=one.sight._replace(pending=one.sight.watch == OPEN)) for one in state.replicas)
    return state._replace(replicas=changed)

