"""What must be true of an edit: it ends as a fresh create does, costs no more than it must; nothing else happens."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.faults import midway
from tests.faults.consistency import faults_of
from tests.faults.ends import End, differences
from tests.faults.reach import REACHES
from tests.faults.values import reordered

from agentex_testkit.api_server import Object, RefusedError
from agentex_testkit.judge.findings import Finding, Harm

if TYPE_CHECKING:
    from collections.abc import Set

    from tests.faults.courses import Stage, Walk
    from tests.faults.subjects import Subject

STILL = 2.5  # seconds in which a write that should not be would come
WAS_SENT = "RejectedByRemote"
FORBIDDEN = range(400, 500)
Found = list[Finding]


def _of(walk: Walk, faults: list[str], invariant: str = "I24", harm: Harm = Harm.OTHER) -> Found:
    return [Finding(invariant, f"{walk.kind} {walk.name}: {fault}", harm) for fault in faults]


# --- an edit --------------------------------------------------------------------------------------------------------


def transition(stage: Stage, walk: Walk, fresh: Walk) -> Found:
    """Differential, consistent and minimal."""
    found = creation(stage, fresh) + _of(walk, _differential(walk, fresh))
    if walk.ends[-1].record is not None and not _lasting(walk):
        found += _of(walk, _inconsistent(stage, walk))
    return found + _of(walk, _wasteful(walk), "I2", Harm.DUPLICATED)


def creation(stage: Stage, fresh: Walk) -> Found:
    """What is created so is there so, at the cost there is, and is said to be."""
    end, subject, value = fresh.ends[0], fresh.subject, fresh.value
    faults = _inconsistent(stage, fresh) if end.record is not None else []
    if end.said["reason"] != subject.end(value):
        faults.append(f"Ready says {end.said['reason']}: {end.said['message']}, not {subject.end(value)}")
    if fresh.kind in ("AgentBuild", "AgentDeployment") and end.creates != subject.creates(value):
        faults.append(f"was created {end.creates} times, not {subject.creates(value)}")
    return _of(fresh, faults)


def _differential(walk: Walk, fresh: Walk) -> list[str]:
    one, other = walk.ends[-1], fresh.ends[-1]
    lasting, after = _lasting(walk), walk.value
    if lasting and not walk.moment:
        said = one.said["reason"]
        return [] if said == lasting else [f"Ready says {said}, and by design it would go on saying {lasting}"]
    if walk.moment and walk.subject.name in midway.LASTING:
        return []
    return differences(one, other, shallow=after in walk.subject.given.shallow)


def _lasting(walk: Walk) -> str | None:
    return walk.subject.lasting(walk.before, walk.value)


def _inconsistent(stage: Stage, walk: Walk) -> list[str]:
    record, value = walk.ends[-1].record, walk.value
    if record is None or value in walk.subject.given.shallow:
        return []
    return faults_of(stage.scenery, walk.kind, walk.name, stage.spec(walk, value), record)


def _wasteful(walk: Walk) -> list[str]:
    """An edit costs one create and one removal at most, and nothing where it reaches nothing remote."""
    if walk.kind not in ("AgentBuild", "AgentDeployment"):
        return []
    end, most = walk.ends[-1], explained(walk)
    faults = [f"{end.creates} creates, where {most} are explained"] if end.creates > most else []
    ends = walk.ends if len(walk.ends) > 1 else [walk.ends[0], end]
    removed = end.removals - ends[0].removals
    return faults + ([f"{removed} removals by one edit"] if removed > max(1, most - 1) else [])


def explained(walk: Walk) -> int:
    """How many creates the steps of a walk explain at most."""
    subject, steps = walk.subject, walk.all_steps
    right = [subject.creates(one) for one in steps if not one.startswith("!")]
    wrong = [subject.given.bad[one[1:]][1] for one in steps if one.startswith("!") and one[1:] in subject.given.bad]
    if wrong:
        return max(right) + (WAS_SENT in wrong)
    return sum(right) if reaches(subject) else max(right, default=1)


def reaches(subject: Subject) -> bool:
    """Whether anything that the subject is made of reaches the remote."""
    path, table = subject.place.name, REACHES[subject.kind]
    below = [reach for name, reach in table.items() if not path or name == path or name.startswith(f"{path}.")]
    return any(reach.field is not None for reach in below)


# --- a mistake ------------------------------------------------------------------------------------------------------


def misoperation(walk: Walk, wrong: str, fresh: Walk) -> Found:
    """Said with a next step, the remote untouched; and, taken back, as if it had never been."""
    before, during, after = walk.ends
    reason, shallow = walk.subject.given.bad[wrong][1], walk.value in walk.subject.given.shallow
    faults = _unsaid(during, reason) + _touched(before, during)
    faults += [f"after a mistake, {one}" for one in differences(after, fresh.ends[-1], shallow=shallow)]
    if after.creates - before.creates > (reason == WAS_SENT):
        faults.append(f"the mistake and its correction cost {after.creates - before.creates} creates")
    return _of(walk, faults)


def _unsaid(end: End, reason: str) -> list[str]:
    said = end.said
    right = said["status"] != "True" and said["reason"] == reason and len(said["message"].split()) > 3
    return [] if right else [f"Ready says {said['status']}, {said['reason']}: {said['message']!r}, not {reason}"]


def _touched(before: End, during: End) -> list[str]:
    changed = (during.creates, during.removals) != (before.creates, before.removals)
    return [f"a mistake cost {during.creates - before.creates} creates and {during.removals - before.removals} "
            "removals"] if changed else []


# --- nothing at all -------------------------------------------------------------------------------------------------


def told_again(stage: Stage, keys: Set[str]) -> dict[str, Found]:
    """Apply the same again, in another order, and with labels: nothing is created, removed or said."""
    walks = [one for one in stage.walks if one.key in keys and not one.stuck]
    began = stage.mark()
    list(stage.hands.map(lambda one: _tell_again(stage, one), walks))
    time.sleep(STILL if walks else 0)
    created, removed = stage.counted()
    found = {}
    for one in walks:
        end, owner = one.ends[-1], stage.owner(one.ends[-1].obj)
        cost = created[owner] - end.creates, removed[owner] - end.removals
        faults = [f"telling it the same again cost {cost[0]} creates and {cost[1]} removals"] if any(cost) else []
        found[one.key] = _of(one, faults + _rewritten(stage, one, began), "I11")
    return found


def _tell_again(stage: Stage, walk: Walk) -> None:
    obj = stage.manifest(walk, walk.value)
    stage.bench.world.apply(obj)
    stage.bench.world.apply(reordered(obj))
    stage.apply(walk, walk.value, labels={"team": "a"}, annotations={"example.com/note": "x" * 100})


def _rewritten(stage: Stage, walk: Walk, began: int) -> list[str]:
    """Statuses that were written since, though there is nothing new to say."""
    statuses = [_said(one) for one in stage.versions(walk, began)]
    if all(one == _said(walk.ends[-1].obj) for one in statuses):
        return []
    return [f"telling it the same again was answered by another status: {statuses[-1]}"]


def _said(obj: Object) -> Object:
    """The status, without what counts others."""
    status = obj.get("status") or {}
    return {key: one for key, one in status.items() if key not in ("builds", "deployments", "throttled")}


def refused(stage: Stage, edits: Set[tuple[str, str]]) -> dict[tuple[str, str], Found]:
    """Each of these edits gets a no with a message from the API server, and changes nothing."""
    walks = {one.key: one for one in stage.walks}
    pairs = [(walks[key], value) for key, value in sorted(edits) if not walks[key].stuck]
    answers = stage.hands.map(lambda it: _refusal(stage, *it), pairs)
    return {(walk.key, value): _of(walk, answer) for (walk, value), answer in zip(pairs, answers, strict=True)}


def _refusal(stage: Stage, walk: Walk, value: str) -> list[str]:
    try:
        stage.replace(walk, value)
    except RefusedError as refusal:
        plain = refusal.status in FORBIDDEN and "spec" in str(refusal)
        return [] if plain else [f"{value} was refused with {refusal.status}: {refusal}"]
    return [f"{value} was taken"]
