"""The invariants that every history of a resource must keep, each a function of one history; see docs/reliability.md.

Judged elsewhere, in tests/faults: I11 (no call at rest) by runner/runner.py, I12 (rates) and I13 (no resource is held
up) by remote/ and load/, I16 (secrets) by runner/secret_markers.py, I17 (addresses) and I18 (bounds) by hostile/, I24
(the end does not depend on faults or on the way) by scenarios/reference.py and transitions/. I14 and I22 speak of a
sweeper, which does not exist: a finalizer stands in its place, and I8 and I21 judge that. "Before", in I3 and I5, is
not judged by clocks: scenarios/crash.py kills the operator between any two calls, and what was not written by then is
missing here.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from agentex_operator.api.account import AgentexAccount
from agentex_operator.api.build import AgentBuild
from agentex_operator.api.deployment import AgentDeployment
from agentex_operator.api.metadata import FINALIZER, Resource
from agentex_operator.core import conditions
from agentex_testkit.api_server import remembered
from agentex_testkit.judge.evidence import Case, Evidence, Object, attempt_in, held_in, wish_in
from agentex_testkit.judge.findings import Finding, Harm
from agentex_testkit.ledger import Entry, Tracked, is_alive

OURS: dict[str, type[Resource]] = {
    "AgentBuild": AgentBuild, "AgentDeployment": AgentDeployment, "AgentexAccount": AgentexAccount,
}
LONGEST_MESSAGE = 1024
MOST_CONDITIONS = 20
FIELD_MANAGER = "agentex-operator"
Told = Iterator[str]


def one_alive_of_each_wish(case: Case) -> Told:
    """I1: whenever a create takes effect, nothing else of the same wish is alive.

    But for creates nobody answered, and for what was made when the same was wished for before.
    """
    explained = 1 + case.unanswered + case.tracked.beside + case.tracked.returns
    alive: dict[str, str | None] = {}
    creates = case.creates
    for one in case.entries:
        alive = {id_: wish for id_, wish in alive.items() if id_ != one["id"]}
        if is_alive(one):
            alive[one["id"]] = wish_in(one)
        most = max(Counter(alive.values()).values(), default=0)
        if one in creates and most > explained:
            yield f"{most} alive of one wish when {one['id']} was created"


def creates_have_a_reason(case: Case) -> Told:
    """I2: as many creates as the test explains, and one more for each that nobody answered."""
    most = case.tracked.creates + case.unanswered
    if len(case.creates) > most:
        yield f"was created {len(case.creates)} times, not {most}: {[one['id'] for one in case.creates]}"


def removals_are_written_down(case: Case) -> Told:
    """I3, P7: what is removed was condemned, or named for removal, by a write before; or its resource is deleted."""
    kept = [remembered(it) for it in case.statuses]
    written = {(it.get("removal") or {}).get("id") for it in kept}
    written |= {id_ for it in kept for id_ in it.get("condemned", ())}
    for one in case.removals:
        if one["id"] not in written:
            yield f"{one['id']} was removed, and nothing written said that it would be"


def what_is_wanted_stays(case: Case) -> Told:
    """I3: nothing removes the id that is on record at the end, unless it was asked for, or the resource is deleted."""
    last = case.statuses[-1] if case.versions else {}
    removals = [it["removal"] for it in map(remembered, case.statuses) if "removal" in it]
    why = {it["id"]: it["reason"] for it in removals}
    deleted = any("deletionTimestamp" in it["metadata"] for it in case.versions)
    for one in case.removals:
        wanted = one["id"] == case.id_in(last) and not deleted
        if wanted and why.get(one["id"]) not in ("Requested", "TimedOut", "Expired"):
            yield f"{one['id']} was removed ({why.get(one['id'])}), and is on record"


def creates_are_written_down(case: Case) -> Told:
    """I5: every create was written down before, by a version with our finalizer and without a deletion."""
    intents = {remembered(it["status"])["pendingCreate"]["attempt"] for it in case.versions if _may_create(it)}
    for one in case.creates:
        if attempt_in(one) not in intents:
            yield f"{one['id']} is of attempt {attempt_in(one)}, which no write announced"


def _may_create(version: Object) -> bool:
    metadata = version["metadata"]
    held = FINALIZER in metadata.get("finalizers", ()) and "deletionTimestamp" not in metadata
    return held and "pendingCreate" in remembered(version.get("status") or {})


def ids_are_kept(case: Case) -> Told:
    """I6: a recorded id changes to nothing or to another attempt's; it never comes back once given up."""
    seen: list[str | None] = [None]
    for status in case.statuses:
        now = case.id_in(status)
        if now == seen[-1]:
            continue
        if now is not None and now in seen:
            yield f"{now} was given up, and is on record again"
        seen.append(now)


def the_condemned_are_not_adopted(case: Case) -> Told:
    """I7: an id that was ever condemned is not on record afterwards."""
    condemned: set[str] = set()
    for status in case.statuses:
        condemned |= set(remembered(status).get("condemned", ()))
        if case.id_in(status) in condemned:
            yield f"{case.id_in(status)} is condemned, and on record"


def nothing_outlives_it(case: Case) -> Told:
    """I8, I21: when the resource is gone, nothing of it is alive, and nothing comes any more."""
    if case.tracked.gone and not case.tracked.orphan and case.alive:
        yield f"is gone, and {case.alive} live on"


def one_alive_at_the_end(case: Case) -> Told:
    """I20: at rest, one remote object at most is alive, and it is one that the resource knows of."""
    alive = [id_ for id_ in case.alive if not _shares_a_release(case.last[id_])]
    if case.tracked.gone or not alive:
        return
    if len(alive) > 1 + case.tracked.beside:
        yield f"has {len(alive)} live: {alive}"
    last = case.statuses[-1] if case.versions else {}
    if "pendingCreate" not in remembered(last) and not set(alive) & case.ids_in(last):
        yield f"has {alive} live, and none of them on record"


def _shares_a_release(entry: Entry) -> bool:
    """A production deployment that failed: its release is that of the one that serves, and goes with it."""
    return entry["kind"] == "deployment" and not entry.get("preview") and entry["status"] == "failed"


def what_was_taken_over_is_kept(case: Case) -> Told:
    """I20: what an heir calls Ready at the end is there: its deployment is alive, its build succeeded."""
    last = case.statuses[-1] if case.versions else {}
    held, said = case.id_in(last), {it["type"] for it in last.get("conditions", ()) if it["status"] == "True"}
    if held not in case.inherited or case.tracked.gone or "Ready" not in said or said & {"Expired", "Suspended"}:
        return
    if held not in case.alive and case.last[held]["status"] != "success":
        yield f"is Ready, and {held}, which it took over, is {case.last[held]['status']}"


def takes_over_only_what_it_may(case: Case) -> Told:
    """I4: what was taken over is what the spec or a restored status names, or carries a token of the resource."""
    may = case.tracked.inherits | case.tracked.may_inherit | case.last.keys()
    for id_ in sorted({it["id"] for status in case.statuses for it in taken_over_in(status)} - may):
        yield f"{id_} was taken over, and nothing explains that"


def taken_over_in(status: Object) -> list[Object]:
    """The objects of other owners that a status names as taken over."""
    found: list[Object] = (remembered(status).get("adoption") or {}).get("objects", [])
    return found


def generations_go_forward(case: Case) -> Told:
    """I9: observedGeneration never decreases, and is never ahead."""
    seen = [it.get("observedGeneration", -1) for it in case.statuses]
    if seen != sorted(seen):
        yield f"observedGeneration went back: {seen}"
    for version in case.versions:
        said = (version.get("status") or {}).get("observedGeneration", -1)
        if said > version["metadata"]["generation"]:
            yield f"observedGeneration {said} is ahead of {version['metadata']['generation']}"


def what_ended_stays_ended(case: Case) -> Told:
    """I10: the end of a build is never taken back."""
    for old, new in zip(case.statuses, case.statuses[1:], strict=False):
        same = case.id_in(old) is not None and case.id_in(old) == case.id_in(new)
        if same and "completionTime" in old and "completionTime" not in new:
            yield f"{case.id_in(old)} had ended, and runs again"


def writes_only_its_own(case: Case) -> Told:
    """I15: the operator owns the status and its finalizer, and never a field of the spec, a label or an annotation."""
    for version in case.versions:
        mine = [it for it in version["metadata"].get("managedFields") or () if it["manager"] == FIELD_MANAGER]
        paths = {(root, name) for it in mine for root, names in it["fieldsV1"].items() for name in names}
        strange = sorted(it for it in paths if it[0] != "f:status" and it != ("f:metadata", "f:finalizers"))
        if strange:
            yield f"the operator wrote {strange}"


def conditions_are_whole(case: Case) -> Told:
    """I19: conditions keep the status contract, and are bounded (ecosystem.md R1-R16)."""
    for version in case.versions:
        resource: Any = OURS[case.tracked.kind].parse(version)
        said, seen = resource.status.conditions, resource.status.observed_generation
        if seen != -1 or said:
            yield from conditions.lint(said, seen)
        if len(said) > MOST_CONDITIONS:
            yield f"{len(said)} conditions"
        yield from (f"a message of {len(it.message)} characters" for it in said if len(it.message) > LONGEST_MESSAGE)


def it_was_seen(case: Case) -> Told:
    """Nothing is judged of what was not seen."""
    if not case.versions:
        yield "no version of it was seen, so nothing could be judged"


INVARIANTS: tuple[tuple[str, Harm, Callable[[Case], Told]], ...] = (
    ("I1", Harm.DUPLICATED, one_alive_of_each_wish),
    ("I2", Harm.DUPLICATED, creates_have_a_reason),
    ("I3", Harm.WRONGLY_DELETED, removals_are_written_down),
    ("I3", Harm.WRONGLY_DELETED, what_is_wanted_stays),
    ("I4", Harm.WRONGLY_DELETED, takes_over_only_what_it_may),
    ("I5", Harm.OTHER, creates_are_written_down),
    ("I6", Harm.OTHER, ids_are_kept),
    ("I7", Harm.OTHER, the_condemned_are_not_adopted),
    ("I8", Harm.LEAKED, nothing_outlives_it),
    ("I9", Harm.OTHER, generations_go_forward),
    ("I10", Harm.OTHER, what_ended_stays_ended),
    ("I15", Harm.OTHER, writes_only_its_own),
    ("I19", Harm.OTHER, conditions_are_whole),
    ("I20", Harm.DUPLICATED, one_alive_at_the_end),
    ("I20", Harm.WRONGLY_DELETED, what_was_taken_over_is_kept),
    ("-", Harm.OTHER, it_was_seen),
)
REMOTE_KINDS = ("AgentBuild", "AgentDeployment")
OF_EVERY_KIND = (generations_go_forward, writes_only_its_own, conditions_are_whole, it_was_seen)


def judge(evidence: Evidence) -> tuple[Finding, ...]:
    """Every broken promise, each once."""
    found = [one for tracked in evidence.known for one in judge_one(evidence.case(tracked))]
    return tuple(dict.fromkeys([*found, *of_the_world(evidence)]))


def judge_one(case: Case) -> Iterator[Finding]:
    """What one resource was promised, and did not get."""
    remote = case.tracked.kind in REMOTE_KINDS
    for number, harm, invariant in INVARIANTS:
        if remote or invariant in OF_EVERY_KIND:
            yield from (Finding(number, f"{case.title}: {fault}", harm) for fault in invariant(case))


def faults_of(version: Object) -> list[str]:
    """What is wrong with one version of a resource: its conditions, its generations, who wrote what."""
    metadata = version["metadata"]
    case = Case(Tracked(version["kind"], metadata["name"], metadata["uid"]), [version], [])
    return [fault for invariant in OF_EVERY_KIND for fault in invariant(case)]


def of_the_world(evidence: Evidence) -> Iterator[Finding]:
    """What was promised of all resources together, and was not kept."""
    yield from strangers(evidence)
    yield from held_twice(evidence)


def strangers(evidence: Evidence) -> Iterator[Finding]:
    """I4, I22: tokens of ours that name no resource of ours; removals of what carries no token of ours.

    What a resource took over belongs to it, whatever its token names.
    """
    for one in evidence.by_us:
        owner = evidence.owner_of(one)
        if evidence.responsible(one) is not None:
            continue
        if owner is not None:
            yield Finding("I22", f"{one['id']} belongs to no resource", Harm.LEAKED)
        elif one["verb"] in ("delete", "cancel"):
            yield Finding("I4", f"{one['id']}, not ours, was touched", Harm.WRONGLY_DELETED)


def held_twice(evidence: Evidence) -> Iterator[Finding]:
    """I27: no remote object is on record in two resources at a time; a resource that has gone holds nothing."""
    before: dict[str, list[tuple[Tracked, range]]] = {}
    for one in evidence.known:
        for id_, during in holdings(one, evidence.versions.get(one.uid, ())):
            for other, then in before.get(id_, ()):
                if other is not one and max(during.start, then.start) < min(during.stop, then.stop):
                    text = f"{id_} is held by {other.kind} {other.name} and {one.kind} {one.name} at the same time"
                    yield Finding("I27", text, Harm.WRONGLY_DELETED)
            before.setdefault(id_, []).append((one, during))


def holdings(one: Tracked, versions: Sequence[Object]) -> Iterator[tuple[str, range]]:
    """Each remote id that a resource held, and from which revision of the API server to which."""
    revisions = [int(it["metadata"]["resourceVersion"]) for it in versions]
    ends = [*revisions[1:], revisions[-1] if one.gone else sys.maxsize] if versions else []
    for version, start, end in zip(versions, revisions, ends, strict=True):
        yield from ((id_, range(start, end)) for id_ in held_in(one.kind, version))
