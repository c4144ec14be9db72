"""The judge convicts an heir: a resource that takes over a remote object whose token names another owner."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentex_operator.api.metadata import FINALIZER
from agentex_testkit.judge.evidence import Evidence
from agentex_testkit.judge.findings import Harm
from agentex_testkit.judge.invariants import judge
from agentex_testkit.ledger import Tracked

Object = dict[str, Any]
CLUSTER, NOW = "cluster-1", "2026-11-24T12:00:00Z"
HELD = {"deploymentID": "d-1"}


def tracked(uid: str = "heir", **told: Any) -> Tracked:
    return Tracked("AgentDeployment", uid, uid, **told)


BEFORE = tracked("before", orphan=True, gone=True)
HEIR = tracked(creates=0, inherits=frozenset({"d-1"}))


def entry(verb: str = "create", id_: str = "d-1", status: str = "healthy", owner: str | None = "before") -> Object:
    """One line of the ledger, about a preview that carries the token of this resource, or none."""
    line = f"# agentex.scale.com/owner: {CLUSTER}/{owner}/{'a' * 12}/1" if owner else "agent:"
    return {"verb": verb, "kind": "deployment", "id": id_, "status": status, "cause": "api", "preview": True,
            "manifest_first_line": line}


def version(revision: int, uid: str = "heir", status: Object | None = None, **metadata: Any) -> Object:
    """One version of a resource; its status was written for it unless that says otherwise."""
    meta = {"name": uid, "namespace": "team", "uid": uid, "generation": 1, "creationTimestamp": NOW,
            "finalizers": [FINALIZER], "resourceVersion": str(revision), **metadata}
    condition = {"type": "Ready", "status": "True", "reason": "Healthy", "message": "It serves.",
                 "observedGeneration": 1, "lastTransitionTime": NOW}
    spec = {"buildRef": {"name": "quote"}, "manifest": {"inline": "agent:"}, "environments": {"inline": "dev:"}}
    said = {"observedGeneration": 1, "conditions": [condition], **(status or {})}
    said["operator"] = {"writtenFor": uid, **said.get("operator", {})}
    return {"kind": "AgentDeployment", "metadata": meta, "spec": spec, "status": said}


def intent(attempt: int = 1) -> Object:
    return {"operator": {"pendingCreate": {"token": "t", "attempt": attempt, "startedAt": NOW}}}


def removal(id_: str) -> Object:
    return {**HELD, "operator": {"removal": {"id": id_, "reason": "Deleted", "requestedAt": NOW}}}


def taken_over(id_: str = "d-1") -> Object:
    objects = [{"id": id_, "owner": f"{CLUSTER}/before"}]
    return {"deploymentID": id_, "operator": {"adoption": {"objects": objects}}}


OF_BEFORE = [version(1, "before", intent()), version(2, "before", HELD), version(3, "before", HELD)]
OF_HEIR = [version(4), version(5, status=taken_over())]


def found(*resources: tuple[Tracked, list[Object]], ledger: list[Object]) -> set[tuple[str, Harm]]:
    """What the judge finds about the resource before and these."""
    every = ((BEFORE, OF_BEFORE), *resources)
    evidence = Evidence(CLUSTER, ledger, [one for one, _ in every], {one.uid: of_one for one, of_one in every})
    return {(one.invariant, one.harm) for one in judge(evidence)}


def of_the_heir(versions: list[Object], ledger: list[Object], **told: Any) -> set[tuple[str, Harm]]:
    return found((replace(HEIR, **told), versions), ledger=ledger)


def test_an_heir_that_took_its_object_over_goes_free() -> None:
    assert of_the_heir(OF_HEIR, [entry()]) == set()


def test_an_heir_that_is_gone_with_its_object_goes_free() -> None:
    gone = [*OF_HEIR, version(6, status=removal("d-1"), deletionTimestamp=NOW), version(7, status=removal("d-1"))]

    assert of_the_heir(gone, [entry(), entry("delete", status="deleted")], gone=True) == set()


def test_two_heirs_of_one_object_hold_it_twice() -> None:
    both = [(tracked(uid, creates=0, may_inherit=frozenset({"d-1"})), [version(at, uid, taken_over())])
            for at, uid in ((5, "heir"), (6, "other"))]

    assert ("I27", Harm.WRONGLY_DELETED) in found(*both, ledger=[entry()])


def test_an_heir_beside_the_living_resource_holds_it_twice() -> None:
    alive = (replace(BEFORE, gone=False), OF_BEFORE)
    evidence = Evidence(CLUSTER, [entry()], [alive[0], HEIR], {"before": alive[1], "heir": OF_HEIR})

    assert [one.invariant for one in judge(evidence)] == ["I27"]


def test_two_resources_hold_it_one_after_the_other() -> None:
    first = (tracked("heir", creates=0, may_inherit=frozenset({"d-1"}), gone=True, orphan=True), [*OF_HEIR, version(6)])
    last = (tracked("last", creates=0, may_inherit=frozenset({"d-1"})), [version(7, "last", taken_over())])

    assert found(first, last, ledger=[entry()]) == set()


def test_of_two_that_name_it_the_one_that_gave_its_claim_up_answers_for_nothing() -> None:
    may = frozenset({"d-1"})
    other = (tracked("other", creates=0, may_inherit=may, gone=True),
             [version(5, "other", {"operator": {"adoption": {"claimed": "d-1"}}}), version(6, "other")])

    assert found((tracked(creates=0, may_inherit=may), OF_HEIR), other, ledger=[entry()]) == set()


def test_a_status_from_a_backup_holds_nothing() -> None:
    copy = (tracked("copy", creates=0), [version(5, "copy", {**HELD, "operator": {"writtenFor": "before"}})])

    assert found((HEIR, OF_HEIR), copy, ledger=[entry()]) == set()


def test_an_heir_that_creates_although_it_should_have_taken_over_is_a_duplicate() -> None:
    twice = [version(4, status=intent()), version(5, status={"deploymentID": "d-2"})]

    assert {("I2", Harm.DUPLICATED), ("I20", Harm.DUPLICATED)} <= of_the_heir(
        twice, [entry(), entry(id_="d-2", owner="heir")])


def test_an_heir_that_removes_without_a_write_before_is_convicted() -> None:
    gone = [*OF_HEIR, version(6, status=HELD, deletionTimestamp=NOW)]

    assert of_the_heir(gone, [entry(), entry("delete", status="deleted")], gone=True) == {("I3", Harm.WRONGLY_DELETED)}


def test_the_resource_before_is_not_blamed_for_what_its_heir_removed() -> None:
    replaced = [*OF_HEIR, version(6, status=removal("d-1")), version(7, status=intent()),
                version(8, status={"deploymentID": "d-2"})]
    ledger = [entry(), entry("delete", status="deleted"), entry(id_="d-2", owner="heir")]

    assert of_the_heir(replaced, ledger, creates=1) == set()


@pytest.mark.parametrize("versions", [OF_HEIR, [version(4, status={**HELD, "operator": {"writtenFor": "before"}})]],
                         ids=["taken over", "restored, and no pass yet"])
def test_an_object_that_outlives_its_heir_is_leaked(versions: list[Object]) -> None:
    assert ("I8", Harm.LEAKED) in of_the_heir(versions, [entry()], gone=True)


def test_an_object_that_an_heir_lost_while_it_is_ready_is_wrongly_deleted() -> None:
    ledger = [entry(), {**entry("delete", status="deleted"), "cause": "actor"}]

    assert of_the_heir(OF_HEIR, ledger) == {("I20", Harm.WRONGLY_DELETED)}


def test_an_object_that_nobody_names_is_not_to_be_taken_over() -> None:
    assert ("I4", Harm.WRONGLY_DELETED) in of_the_heir(OF_HEIR, [entry()], inherits=frozenset())


@pytest.mark.parametrize("owner", ["elsewhere", None])
def test_an_object_of_a_stranger_belongs_to_its_heir(owner: str | None) -> None:
    removed = [*OF_HEIR, version(6, status=removal("d-1"), deletionTimestamp=NOW)]
    ledger = [entry(owner=owner), entry("delete", status="deleted", owner=owner)]

    assert of_the_heir(removed, ledger, gone=True) == set()
    assert of_the_heir(OF_HEIR, ledger, inherits=frozenset()) >= {
        ("I22", Harm.LEAKED) if owner else ("I4", Harm.WRONGLY_DELETED)}


@pytest.mark.parametrize(("orphan", "owner", "stays"), [
    (False, "before", False), (True, "before", True), (False, None, False), (True, None, True)])
def test_what_may_outlive_every_resource_is_what_its_last_heir_leaves_behind(
    orphan: bool, owner: str | None, stays: bool,
) -> None:
    evidence = Evidence(CLUSTER, [], [BEFORE, replace(HEIR, orphan=orphan)])

    assert evidence.may_outlive_all(entry(owner=owner)) == stays
    assert evidence.may_outlive_all(entry(id_="d-2")) is True
    assert evidence.may_outlive_all(entry(id_="d-2", owner="nobody")) is False
