"""What must hold: safety, judged on every call that changes something, and the goal, judged where all is at rest.

The numbers are those of reliability.md §3. Each judge answers what is wrong, or None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.model import accounts
from tests.model.kinds import (
    CANCELLED,
    CANCELLING,
    CREATES,
    FAILED,
    LEAVING,
    PAUSED,
    SUCCEEDED,
    Object,
    Post,
    Remote,
    request,
)

from agentex_operator.api.metadata import FINALIZER
from agentex_operator.core import calls, conditions

if TYPE_CHECKING:
    from tests.model.environment import Model
    from tests.model.passes import Memory
    from tests.model.states import State

OF_ANOTHER = 0  # as the uid of a record: it is of a living resource that the search has no other part of

# The only ways to another live one (I1), and to another create (I2).
SECOND_IS_EXCUSED_BY = ("late", "slow", "lag", "stale")
ANOTHER_IS_EXCUSED_BY = (*SECOND_IS_EXCUSED_BY, "edit", "source", "revert", "purge", "cancel", "ask")


def sent(observed: Any, *, fenced: bool) -> str | None:
    """I5: a create follows a conditional write of the same pass, and our finalizer; and I11: it is not unasked for."""
    meta = observed.meta
    if observed.spec.suspend or getattr(observed.spec, "cancel", False):
        return "I11: a create of what is suspended or cancelled"
    if not fenced:
        return "I5: a create without a conditional write right before it"
    return "I5: a create without our finalizer, or of what is deleted" if (
        FINALIZER not in meta.finalizers or meta.deleting) else None


def followed(call: Any, memory: Memory | None) -> str | None:
    """P3, P7: the call that a conditional write announces comes right after it. What else came between would have the
    next pass believe that an answer was lost.
    """
    if not isinstance(call, calls.WriteIntent):
        return None
    announced: tuple[type, ...] = CREATES if call.purpose.startswith("create") else (calls.Remove,)
    came = None if memory is None else memory.plan.call
    return None if isinstance(came, announced) else f"P3: {call.purpose} is written down, and not done"


def committed(model: Model, state: State, post: Post) -> str | None:
    """I1, I2, I8, I25: judged when a create takes effect; the state as it is then."""
    newest = model.newest(state)
    if newest is None or newest.uid != post.uid:
        return "I8: a create took effect after the resource was let go"
    mine = [one for one in model.remotes(state) if one.uid == post.uid]
    if len({one.account for one in mine}) > 1:
        return "I25: creates in two accounts"
    alike = [one for one in mine if one.wish == post.wish and model.kind.alive(one.record)]
    anew = model.kind.returned(model.spent(state, ("revert",)), model.spent(state, ("ask",)))
    if len(alike) > 1 + model.spent(state, SECOND_IS_EXCUSED_BY) + anew:
        return f"I1: {len(alike)} alive of one wish"
    explained = model.spent(state, ANOTHER_IS_EXCUSED_BY) + model.kind.usurped(model.spent(state, ("late",)))
    if len(mine) > model.kind.tries * (1 + explained):
        return f"I2: {len(mine)} creates, more than anything explains"
    return None


def removed(model: Model, state: State, observed: Any, target: Remote) -> str | None:
    """I3, I4, I11: what is asked to go is ours, not what is wanted, and not to be left alone."""
    if f"uid-{target.uid}" != observed.meta.uid:
        return f"I4: {target.record.id} is not ours to remove"
    if observed.spec.suspend and not observed.meta.deleting:
        return f"I11: {target.record.id} is removed by what is suspended"
    return _still_wanted(model, state, observed, target)


def released(model: Model, state: State) -> str | None:
    """I26: the finalizer of a deleted account stays while the resource is bound to it; judged for one replica."""
    one = model.configuration.replicas == 1
    return "I26: the account goes under a resource that is bound to it" if one and _holds(model, state) else None


def created_in(model: Model, state: State, observed: Any) -> str | None:
    """I26: nothing is created in an account whose finalizer was removed; judged for one replica."""
    late = state.account == accounts.RELEASED and observed.account.name == accounts.MAIN
    return "I26: a create in an account that was let go" if late and model.configuration.replicas == 1 else None


def _still_wanted(model: Model, state: State, observed: Any, target: Remote) -> str | None:
    newest = model.newest(state)
    if newest is None or newest.uid != target.uid or newest.deleting or not _useful(model, target):
        return None
    if newest.generation != observed.meta.generation or target.wish != model.kind.wanted(newest, state.source):
        return None
    status = model.passes.statuses[newest.status]
    if model.kind.is_over(newest, status, target):
        return None
    if status.remote_id == target.record.id:
        return f"I3: {target.record.id} is on record, and wanted"
    condemned = status.operator.condemned
    needless = _is_replaced(model, state, status, condemned, target) or _others(model, state, target, ())
    return None if needless else f"I3: {target.record.id} is the only one of its wish"


def _is_replaced(model: Model, state: State, status: Any, condemned: tuple[str, ...], target: Remote) -> bool:
    """An edit or a cancellation that was taken back, or a request, wants again what was made before: by then that is
    condemned on record, a later attempt is, or its twin was cancelled. I3 speaks of another generation than it was made
    for; and to condemn it was judged when it was done.
    """
    if model.spent(state, ("cancel",)):
        held = next((one for one in model.remotes(state) if one.record.id == status.remote_id), None)
        if held is not None and held.record.state in (LEAVING, CANCELLED):
            return True
    replaced = model.kind.attempt(target.record) < status.attempt or target.record.id in condemned
    return replaced and model.spent(state, ("revert", "cancel", "ask")) > 0


def _others(model: Model, state: State, target: Remote, condemned: tuple[str, ...]) -> list[Remote]:
    """What else there is of the same wish. What somebody else made vanish counts: nobody is told of it in time."""
    return [one for one in model.remotes(state) if one.wish == target.wish and one.uid == target.uid
            and one.record.id not in {target.record.id, *condemned} and (one.gone or _useful(model, one))]


def _useful(model: Model, one: Remote) -> bool:
    return model.kind.alive(one.record) or one.record.state in (SUCCEEDED, FAILED)


def written(model: Model, state: State, before: Object, after: Any, observed: Any) -> str | None:
    """I6, I7, I9, I10, I25: what a status may not say after what it said before."""
    old = model.passes.statuses[before.status]
    if f"uid-{before.uid}" != observed.meta.uid:
        return "I9: the status of another resource"
    if not old.observed_generation <= after.observed_generation <= before.generation:
        return f"I9: observedGeneration {after.observed_generation} after {old.observed_generation}"
    if after.remote_id in {*old.operator.condemned, *after.operator.condemned} - {None}:
        return f"I7: {after.remote_id} is condemned, and on record"
    if model.has_actor and (found := accounts.moved(old.account, after.account)) is not None:
        return found
    return (_given_up(model, state, before, old, after) or _taken_back(model, old, after)
            or _condemned(model, state, before, old, after))


def _condemned(model: Model, state: State, obj: Object, old: Any, new: Any) -> str | None:
    """I3 once more, where it is decided: the conditional write that condemns."""
    wanted = [] if obj.deleting else [
        one for one in model.remotes(state) if one.record.id in {*new.operator.condemned} - {*old.operator.condemned}
        and one.wish == model.kind.wanted(obj, state.source) and _useful(model, one)
        and not model.kind.is_over(obj, new, one)]
    return next((f"I3: {one.record.id} is condemned, the only one of its wish" for one in wanted
                 if not _is_replaced(model, state, new, old.operator.condemned, one)
                 and not _others(model, state, one, new.operator.condemned)), None)


def _given_up(model: Model, state: State, obj: Object, old: Any, new: Any) -> str | None:
    held = next((one for one in model.remotes(state) if one.record.id == old.remote_id), None)
    if held is None or new.remote_id == old.remote_id or not _useful(model, held) or _answers_a_request(old, new):
        return None
    wanted = (obj.spec, held.wish[1]) == held.wish and held.wish == model.kind.wanted(obj, state.source)
    return f"I6: {old.remote_id} is alive and wanted, and was given up" if wanted else None


def _answers_a_request(old: Any, new: Any) -> bool:
    """Whether the write acknowledges that the user asked for another of the same wish."""
    names = ("last_handled_rebuild_requested_at", "last_handled_extend_requested_at")
    return any(getattr(old, name, None) != getattr(new, name, None) for name in names)


def _taken_back(model: Model, old: Any, new: Any) -> str | None:
    if old.remote_id is None or new.remote_id != old.remote_id:
        return None
    ended = getattr(old, "completion_time", None) is not None
    took_back = ended and (new.completion_time is None or new.remote_status in ("queued", "running"))
    return f"I10: {old.remote_id} had ended as {old.remote_status}, now {new.remote_status}" if took_back else None


def deleted_itself(model: Model, before: Object) -> str | None:
    """I15: a resource asks for its own deletion only when its time is over."""
    allowed = before.mode != PAUSED and model.kind.may_delete_itself(model.passes.statuses[before.status])
    return None if allowed else "I15: the resource deletes itself before its time"


def let_go(model: Model, state: State, obj: Object) -> str | None:
    """I8: our finalizer goes when nothing of ours is alive, or can come."""
    alive = [one.record.id for one in model.remotes(state) if one.uid == obj.uid and model.kind.alive(one.record)]
    if alive:
        return f"I8: let go while {', '.join(alive)} is alive"
    coming = any(post.uid == obj.uid for post in model.posts(state))
    return "I8: let go while a create may still take effect" if coming else None


# --- the goal -------------------------------------------------------------------------------------------------------


def missed(model: Model, state: State) -> str | None:
    """I20, I21: why this is not how it should end; None if it is."""
    if state.flights:
        return "a create is on its way for ever"
    if state.account == accounts.DELETED and not _holds(model, state):
        return "I26: the account is deleted, nothing holds it, and it is still there"
    alive = [one for one in model.remotes(state) if model.kind.alive(one.record) and one.uid != OF_ANOTHER]
    newest = model.newest(state)
    if newest is None:
        return f"I21: {alive[0].record.id} lives without its resource" if alive else None
    waits_for, status = _obstacle(model, state, newest), model.passes.statuses[newest.status]
    if newest.deleting:
        return "I21: deleted, and still there" if waits_for is None else _unsaid(newest, status, "False", waits_for)
    if waits_for is None or newest.mode == PAUSED:
        return _unsettled(model, state, newest, alive)
    ended = model.kind.expires and model.kind.unfinished(status, alive) is None
    return None if ended else _unsaid(newest, status, "False", waits_for)


def _holds(model: Model, state: State) -> bool:
    newest = model.newest(state)
    return newest is not None and newest.held and accounts.is_of_main(model.passes.statuses[newest.status].account)


def _obstacle(model: Model, state: State, obj: Object) -> str | None:
    """The reason for which the resource waits for its account; None if that can be used."""
    session = any(replica.account.session for replica in state.replicas)
    account = accounts.GONE if state.account == accounts.RELEASED else state.account
    return accounts.obstacle(account, obj, model.passes.statuses[obj.status].account, session=session)


def _unsettled(model: Model, state: State, obj: Object, alive: list[Remote]) -> str | None:
    """What the user wants of a resource that stays: that it is let alone, that nothing runs, or its wish."""
    status = model.passes.statuses[obj.status]
    if model.kind.refusal is not None:
        return _unsaid(obj, status, "False", model.kind.refusal)
    held = next((one for one in model.remotes(state) if one.record.id == status.remote_id), None)
    if obj.mode == PAUSED:
        return _not_let_alone(model, state, obj, held, alive)
    if obj.mode == CANCELLING:
        return _not_cancelled(model, state, obj, held, alive)
    if model.kind.expires:
        return model.kind.unfinished(status, alive)
    return _not_as_wished(model, state, obj, held, alive)


def _not_let_alone(model: Model, state: State, obj: Object, held: Remote | None, alive: list[Remote]) -> str | None:
    """Suspended: nothing is started or stopped, so there is what there was: none, the recorded one, what it replaces,
    what was condemned before, and what a create that was late brought. The state is still told.
    """
    status = model.passes.statuses[obj.status]
    known = {status.remote_id, _predecessor(status), *status.operator.condemned}
    strays = [one.record.id for one in alive if one.record.id not in known and not (
        held is not None and model.kind.tolerated(held.record, None, one.record))]
    looks = _obstacle(model, state, obj) is None
    if looks and len(strays) > model.spent(state, SECOND_IS_EXCUSED_BY):
        return f"I20: suspended, and {strays[0]} is on no record"
    if looks and held is not None and not held.gone and status.remote_status != held.record.raw_status:
        return f"I20: suspended, and nobody is told that {held.record.id} is {held.record.raw_status}"
    said = conditions.find(status.conditions, "Suspended")
    told = said is not None and said.status == "True" and said.observed_generation == obj.generation
    return None if told else "I20: suspended, and does not say so"


def _not_cancelled(model: Model, state: State, obj: Object, held: Remote | None, alive: list[Remote]) -> str | None:
    """`cancel: true`: nothing runs; Ready if what is wanted had been built before, and no more is asked for."""
    if alive:
        return f"I20: {alive[0].record.id} goes on, though cancelled"
    status = model.passes.statuses[obj.status]
    built = held is not None and held.record.state is SUCCEEDED and held.wish == model.kind.wanted(obj, state.source)
    asked = obj.asked > 0 and status.last_handled_rebuild_requested_at != request(obj.asked)
    return _unsaid(obj, status, "True" if built and not asked else "False")


def _not_as_wished(model: Model, state: State, obj: Object, held: Remote | None, alive: list[Remote]) -> str | None:
    status = model.passes.statuses[obj.status]
    if held is None:
        return "I20: nothing is on record"
    if held.uid != obj.uid or held.wish != model.kind.wanted(obj, state.source):
        return f"I20: {held.record.id} is on record, which is not what is wanted"
    if not model.kind.rests(held, model.remotes(state), status):
        return f"I20: {held.record.id} is {held.record.state.value}"
    serving = _predecessor(status)
    extra = [one.record.id for one in alive
             if one is not held and not model.kind.tolerated(held.record, serving, one.record)]
    return f"I20: {extra[0]} lives beside {held.record.id}" if extra else _untold(obj, status, held)


def _predecessor(status: Any) -> str | None:
    """The id of what serves until the recorded one does; only a deployment has one."""
    found: str | None = getattr(status.operator, "predecessor_id", None)
    return found


def _untold(obj: Object, status: Any, held: Remote) -> str | None:
    unsaid = _unsaid(obj, status, "True" if held.record.state is SUCCEEDED else "False")
    still_open = (status.operator.pending_create, status.operator.unanswered_create_at) != (None, None)
    return unsaid or ("I20: a create is still open on record" if still_open else None)


def _unsaid(obj: Object, status: Any, expected: str, reason: str | None = None) -> str | None:
    ready = conditions.find(status.conditions, conditions.READY)
    said = ready is not None and ready.status == expected and ready.observed_generation == obj.generation and (
        reason is None or ready.reason == reason)
    because = f" for {reason}" if reason else ""
    return None if said else f"I20: Ready does not say {expected}{because} of generation {obj.generation}"
