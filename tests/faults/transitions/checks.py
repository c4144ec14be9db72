"""The checks of an edit: it ends like a fresh create, costs no more than it must, and changes nothing else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.faults.specs.schema_values import reordered
from tests.faults.transitions import concurrent_edits
from tests.faults.transitions.field_map import FIELD_MAP
from tests.faults.transitions.final_state import FinalState, differences
from tests.faults.transitions.remote_record import faults_of

from agentex_testkit.api_server import Object, RefusedError
from agentex_testkit.judge.findings import Finding, Harm

if TYPE_CHECKING:
    from collections.abc import Set

    from tests.faults.transitions.edit_batch import EditBatch, EditSequence
    from tests.faults.transitions.edited_properties import EditedProperty

STILL = 2.5  # seconds in which a write that should not be would come
WAS_SENT = "RejectedByRemote"
FORBIDDEN = range(400, 500)
Found = list[Finding]


def _of(sequence: EditSequence, faults: list[str], invariant: str = "I24", harm: Harm = Harm.OTHER) -> Found:
    return [Finding(invariant, f"{sequence.kind} {sequence.name}: {fault}", harm) for fault in faults]


# --- an edit --------------------------------------------------------------------------------------------------------


def transition(batch: EditBatch, sequence: EditSequence, fresh: EditSequence) -> Found:
    """The edit ends like a fresh create, the record agrees with the spec, and the costs are minimal."""
    found = creation(batch, fresh) + _of(sequence, _differential(sequence, fresh))
    if sequence.final_states[-1].record is not None and not _lasting(sequence):
        found += _of(sequence, _inconsistent(batch, sequence))
    return found + _of(sequence, _wasteful(sequence), "I2", Harm.DUPLICATED)


def creation(batch: EditBatch, fresh: EditSequence) -> Found:
    """A fresh create has the right record and reason, and costs what it must."""
    end, edited, value = fresh.final_states[0], fresh.edited, fresh.value
    faults = _inconsistent(batch, fresh) if end.record is not None else []
    if end.said["reason"] != edited.end(value):
        faults.append(f"Ready says {end.said['reason']}: {end.said['message']}, not {edited.end(value)}")
    if fresh.kind in ("AgentBuild", "AgentDeployment") and end.creates != edited.creates(value):
        faults.append(f"was created {end.creates} times, not {edited.creates(value)}")
    return _of(fresh, faults)


def _differential(sequence: EditSequence, fresh: EditSequence) -> list[str]:
    one, other = sequence.final_states[-1], fresh.final_states[-1]
    lasting, after = _lasting(sequence), sequence.value
    if lasting and not sequence.moment:
        said = one.said["reason"]
        return [] if said == lasting else [f"Ready says {said}, and by design it would go on saying {lasting}"]
    if sequence.moment and sequence.edited.name in concurrent_edits.LASTING:
        return []
    return differences(one, other, shallow=after in sequence.edited.known.shallow)


def _lasting(sequence: EditSequence) -> str | None:
    return sequence.edited.lasting(sequence.before, sequence.value)


def _inconsistent(batch: EditBatch, sequence: EditSequence) -> list[str]:
    record, value = sequence.final_states[-1].record, sequence.value
    if record is None or value in sequence.edited.known.shallow:
        return []
    return faults_of(batch.fixtures, sequence.kind, sequence.name, batch.spec(sequence, value), dict(record))


def _wasteful(sequence: EditSequence) -> list[str]:
    """An edit costs one create and one removal at most, and nothing where it reaches nothing remote."""
    if sequence.kind not in ("AgentBuild", "AgentDeployment"):
        return []
    end, most = sequence.final_states[-1], explained(sequence)
    faults = [f"{end.creates} creates, where {most} are explained"] if end.creates > most else []
    final_states = sequence.final_states if len(sequence.final_states) > 1 else [sequence.final_states[0], end]
    removed = end.removals - final_states[0].removals
    return faults + ([f"{removed} removals by one edit"] if removed > max(1, most - 1) else [])


def explained(sequence: EditSequence) -> int:
    """How many creates the steps of a sequence explain at most."""
    edited, steps = sequence.edited, sequence.all_steps
    right = [edited.creates(one) for one in steps if not one.startswith("!")]
    wrong = [edited.known.bad[one[1:]][1] for one in steps if one.startswith("!") and one[1:] in edited.known.bad]
    if wrong:
        return max(right) + (WAS_SENT in wrong)
    return sum(right) if reaches(edited) else max(right, default=1)


def reaches(edited: EditedProperty) -> bool:
    """Whether any leaf of the property reaches the remote."""
    path, table = edited.place.name, FIELD_MAP[edited.kind]
    below = [target for name, target in table.items() if not path or name == path or name.startswith(f"{path}.")]
    return any(target.field is not None for target in below)


# --- a mistake ------------------------------------------------------------------------------------------------------


def misoperation(sequence: EditSequence, wrong: str, fresh: EditSequence) -> Found:
    """A bad value is reported and touches nothing remote; taken back, the end is as if it had never been."""
    before, during, after = sequence.final_states
    reason, shallow = sequence.edited.known.bad[wrong][1], sequence.value in sequence.edited.known.shallow
    faults = _unsaid(during, reason) + _touched(before, during)
    faults += [f"after a mistake, {one}" for one in differences(after, fresh.final_states[-1], shallow=shallow)]
    if after.creates - before.creates > (reason == WAS_SENT):
        faults.append(f"the mistake and its correction cost {after.creates - before.creates} creates")
    return _of(sequence, faults)


def _unsaid(end: FinalState, reason: str) -> list[str]:
    said = end.said
    right = said["status"] != "True" and said["reason"] == reason and len(said["message"].split()) > 3
    return [] if right else [f"Ready says {said['status']}, {said['reason']}: {said['message']!r}, not {reason}"]


def _touched(before: FinalState, during: FinalState) -> list[str]:
    changed = (during.creates, during.removals) != (before.creates, before.removals)
    return [f"a mistake cost {during.creates - before.creates} creates and {during.removals - before.removals} "
            "removals"] if changed else []


# --- nothing at all -------------------------------------------------------------------------------------------------


def reapplied(batch: EditBatch, keys: Set[str]) -> dict[str, Found]:
    """Apply the same again, reordered and with labels: nothing is created, removed or written."""
    sequences = [one for one in batch.sequences if one.key in keys and not one.stuck]
    began = batch.mark()
    list(batch.pool.map(lambda one: _reapply(batch, one), sequences))
    time.sleep(STILL if sequences else 0)
    created, removed = batch.counted()
    found = {}
    for one in sequences:
        end, owner = one.final_states[-1], batch.owner(one.final_states[-1].obj)
        cost = created[owner] - end.creates, removed[owner] - end.removals
        faults = [f"telling it the same again cost {cost[0]} creates and {cost[1]} removals"] if any(cost) else []
        found[one.key] = _of(one, faults + _rewritten(batch, one, began), "I11")
    return found


def _reapply(batch: EditBatch, sequence: EditSequence) -> None:
    obj = batch.manifest(sequence, sequence.value)
    batch.runner.world.apply(obj)
    batch.runner.world.apply(reordered(obj))
    batch.apply(sequence, sequence.value, labels={"team": "a"}, annotations={"example.com/note": "x" * 100})


def _rewritten(batch: EditBatch, sequence: EditSequence, began: int) -> list[str]:
    """The statuses that were written since, though nothing changed."""
    statuses = [_status_of(one) for one in batch.versions(sequence, began)]
    if all(one == _status_of(sequence.final_states[-1].obj) for one in statuses):
        return []
    return [f"telling it the same again was answered by another status: {statuses[-1]}"]


def _status_of(obj: Object) -> Object:
    """The status without the counts of other objects."""
    status = obj.get("status") or {}
    return {key: one for key, one in status.items() if key not in ("builds", "deployments", "throttled")}


def refused(batch: EditBatch, edits: Set[tuple[str, str]]) -> dict[tuple[str, str], Found]:
    """The API server refuses each of these edits with a message, and nothing changes."""
    sequences = {one.key: one for one in batch.sequences}
    pairs = [(sequences[key], value) for key, value in sorted(edits) if not sequences[key].stuck]
    answers = batch.pool.map(lambda it: _refusal(batch, *it), pairs)
    return {(one.key, value): _of(one, answer) for (one, value), answer in zip(pairs, answers, strict=True)}


def _refusal(batch: EditBatch, sequence: EditSequence, value: str) -> list[str]:
    try:
        batch.replace(sequence, value)
    except RefusedError as refusal:
        plain = refusal.status in FORBIDDEN and "spec" in str(refusal)
        return [] if plain else [f"{value} was refused with {refusal.status}: {refusal}"]
    return [f"{value} was taken"]
