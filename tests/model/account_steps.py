"""The steps of the account: what happens to it, and how each replica finds out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.model import invariants
from tests.model.accounts import (
    DELETED,
    GONE,
    PRESENT,
    RELEASED,
    TROUBLES,
    is_replaced,
    may_be_released,
    may_create,
    reconciled,
    wakes,
)
from tests.model.states import Edge, State

if TYPE_CHECKING:
    from tests.model.environment import Model


def account_steps(model: Model, state: State) -> Iterator[Edge]:
    """Something happens to the account, or is put right, which nobody need do; each replica finds out."""
    if not model.has_actor:
        return
    for at, replica in enumerate(state.replicas):
        if replica.account.state != seen(state):
            yield account_pass(model, state, at)
        elif state.account == DELETED and releases(model, state, at):
            yield Edge(("the finalizer of the account is removed", at), state._replace(account=RELEASED), system=True,
                       violation=model.judged(invariants.released(model, state)))
    if state.account != PRESENT:
        if (spent := model.spend(state, "restore")) is not None:
            yield Edge(("the account is as it was",), spent._replace(account=PRESENT))
    elif (spent := model.spend(state, "account")) is not None:
        for found, happens in TROUBLES.items():
            yield Edge((f"the account {happens}",), spent._replace(account=found))


def seen(state: State) -> int:
    """The state of the account as the API server shows it."""
    return GONE if state.account == RELEASED else state.account


def releases(model: Model, state: State, at: int) -> bool:
    """Whether a pass over the deleted account removes its finalizer."""
    replica = state.replicas[at]
    view = model.view(state, replica)
    bound = None if view is None else model.passes.statuses[view.status].account
    in_use = bool(replica.memory) and may_create(model.passes.memories[replica.memory].observed)
    return may_be_released(view, bound, in_use=in_use)


def account_pass(model: Model, state: State, at: int) -> Edge:
    """A pass over the account. If it closes a session, nothing is followed through that any more."""
    replica, found = state.replicas[at], seen(state)
    after = reconciled(replica.account, found)
    known = replica._replace(account=after)
    if wakes(replica.account, found):
        known = known._replace(dirty=model.view(state, replica) is not None)
    if not after.session or is_replaced(replica.account, found):
        known = known._replace(follows=False, shown=0)
    return Edge(("account pass", at), model.with_replica(state, at, known), system=True)
