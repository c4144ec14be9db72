"""The judge convicts: each invariant has a history that breaks it and nothing else, and one that is innocent."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from agentex_operator.api.metadata import FINALIZER
from agentex_testkit.judge.evidence import Case, Evidence
from agentex_testkit.judge.findings import Harm
from agentex_testkit.judge.invariants import judge, judge_one
from agentex_testkit.ledger import Tracked

Object = dict[str, Any]
UID, CLUSTER = "uid-1", "cluster-1"
OWNER = Tracked("AgentBuild", "quote", UID).owner(CLUSTER)


def entry(verb: str = "create", id_: str = "b-1", status: str = "queued", attempt: int = 1, wish: str = "a" * 12,
          cause: str = "api") -> Object:
    """One line of the ledger, about a build of ours."""
    return {"verb": verb, "kind": "build", "id": id_, "status": status, "cause": cause, "source_ref": None,
            "image_tag": f"{wish}-{OWNER}{attempt}"}


def condition(generation: int = 1) -> Object:
    return {"type": "Ready", "status": "True", "reason": "Succeeded", "message": "The image is built.",
            "observedGeneration": generation, "lastTransitionTime": "2026-11-24T12:00:00Z"}


def version(status: Object | None = None, *, deleted: bool = False, generation: int = 1) -> Object:
    """One version of the resource."""
    metadata: Object = {"name": "quote", "namespace": "team", "uid": UID, "generation": generation,
                        "creationTimestamp": "2026-11-24T12:00:00Z", "finalizers": [FINALIZER], "resourceVersion": "1"}
    if deleted:
        metadata["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    spec = {"agentName": "quote", "image": {"name": "quote"},
            "source": {"configMapKeyRef": {"name": "quote", "key": "k"}}}
    said = {"observedGeneration": generation, "conditions": [condition(generation)], **(status or {})}
    return {"kind": "AgentBuild", "metadata": metadata, "spec": spec, "status": said}


def intent(attempt: int = 1) -> Object:
    return {"operator": {"pendingCreate": {"token": "t", "attempt": attempt, "startedAt": "2026-11-24T12:00:00Z"}}}


def removal(id_: str, reason: str) -> Object:
    return {"operator": {"removal": {"id": id_, "reason": reason, "requestedAt": "2026-11-24T12:00:00Z"}}}


INNOCENT = [version(intent()), version({"buildID": "b-1"})]
ENDED = {"buildID": "b-1", "completionTime": "2026-11-24T12:00:00Z"}
BROKEN: dict[str, tuple[str, Harm, list[Object], list[Object]]] = {
    "two alive of one wish": (
        "I1", Harm.DUPLICATED, [version(intent(1)), version(intent(2)), version({"buildID": "b-2"})],
        [entry(), entry(id_="b-2", attempt=2), entry("end", "b-1", "success", cause="workflow")]),
    "created again without need": (
        "I2", Harm.DUPLICATED, [version(intent(1)), version(intent(2)), version({"buildID": "b-2"})],
        [entry(), entry("end", "b-1", "success", cause="workflow"), entry(id_="b-2", attempt=2)]),
    "removed unannounced": (
        "I3", Harm.WRONGLY_DELETED, [*INNOCENT, version({"buildID": "b-1"}, deleted=True)],
        [entry(), entry("cancel", status="cancelling")]),
    "removed though wanted": (
        "I3", Harm.WRONGLY_DELETED, [*INNOCENT, version({"buildID": "b-1", **removal("b-1", "Duplicate")})],
        [entry(), entry("cancel", status="cancelling")]),
    "created unannounced": ("I5", Harm.OTHER, [version({"buildID": "b-1"})], [entry()]),
    "created while it was deleted": (
        "I5", Harm.OTHER, [version(intent(), deleted=True), version({"buildID": "b-1"})], [entry()]),
    "an id that comes back": (
        "I6", Harm.OTHER, [version(intent()), version({"buildID": "b-1"}), version(), version({"buildID": "b-1"})],
        [entry()]),
    "the condemned on record": (
        "I7", Harm.OTHER, [*INNOCENT, version({"buildID": "b-1", "operator": {"condemned": ["b-1"]}})], [entry()]),
    "a generation that goes back": (
        "I9", Harm.OTHER, [*INNOCENT, version({"buildID": "b-1"}, generation=2), version({"buildID": "b-1"})],
        [entry()]),
    "an end that is taken back": ("I10", Harm.OTHER, [version(intent()), version(ENDED), version({"buildID": "b-1"})],
                                  [entry()]),
    "two alive at the end": (
        "I20", Harm.DUPLICATED, [version(intent(1)), version({"buildID": "b-1"})],
        [entry(), entry(id_="b-2", attempt=2)]),
    "alive, and not known": ("I20", Harm.DUPLICATED, [version(intent()), version()], [entry()]),
    "conditions without Ready": ("I19", Harm.OTHER, [*INNOCENT, version({"buildID": "b-1", "conditions": []})],
                                 [entry()]),
}


def convicted(versions: list[Object], entries: list[Object], **told: Any) -> set[tuple[str, Harm]]:
    tracked = Tracked("AgentBuild", "quote", UID, **told)
    return {(one.invariant, one.harm) for one in judge_one(Case(tracked, versions, entries))}


def test_the_innocent_go_free() -> None:
    assert convicted(INNOCENT, [entry()]) == set()


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_found(name: str) -> None:
    invariant, harm, versions, entries = BROKEN[name]

    assert (invariant, harm) in convicted(copy.deepcopy(versions), entries)


def test_what_lives_on_is_leaked() -> None:
    assert ("I8", Harm.LEAKED) in convicted(INNOCENT, [entry()], gone=True)


def test_a_field_of_somebody_elses_is_noticed() -> None:
    mine = {"manager": "agentex-operator", "fieldsV1": {"f:spec": {"f:agentName": {}}}}
    written = version({"buildID": "b-1"})
    written["metadata"]["managedFields"] = [mine]

    assert ("I15", Harm.OTHER) in convicted([*INNOCENT, written], [entry()])


def test_what_was_not_seen_is_not_taken_for_good() -> None:
    assert ("-", Harm.OTHER) in convicted([], [])


def test_what_a_lost_answer_explains_is_no_duplicate() -> None:
    _, _, versions, entries = BROKEN["two alive of one wish"]

    assert ("I1", Harm.DUPLICATED) not in convicted(versions, entries, unanswered=1)


def test_what_is_asked_for_again_is_no_duplicate_while_it_is_replaced() -> None:
    _, _, versions, entries = BROKEN["two alive of one wish"]

    assert ("I1", Harm.DUPLICATED) not in convicted(versions, entries, returns=1)
    _, _, versions, entries = BROKEN["two alive at the end"]

    assert ("I20", Harm.DUPLICATED) in convicted(versions, entries, returns=1)


def test_strangers_are_found_on_both_sides() -> None:
    nobody = {**entry("delete", "x-1"), "image_tag": "v1"}
    orphan = {**entry(id_="x-2"), "image_tag": f"{'a' * 12}-deadbeef1"}
    known = [Tracked("AgentBuild", "quote", UID)]
    evidence = Evidence(CLUSTER, [entry(), nobody, orphan], known, {UID: INNOCENT})

    assert {(one.invariant, one.harm) for one in judge(evidence)} == {
        ("I4", Harm.WRONGLY_DELETED), ("I22", Harm.LEAKED)}
