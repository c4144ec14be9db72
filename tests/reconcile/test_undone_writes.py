"""Another client that undoes each write of the operator: how often it is made again, and that both are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentex_operator.kube.kinds import AGENT_BUILD, AGENT_DEPLOYMENT, Kind
from agentex_operator.reconcile.undone_writes import AT_ONCE, LONGEST_PAUSE, UndoneWrites
from agentex_testkit.api_server import Object, condition, gone
from agentex_testkit.builders import STUCK, a_build, a_context, a_deployment, a_preview, an_image
from agentex_testkit.clocks import HandClock
from agentex_testkit.fake_cluster.faults import Fault
from agentex_testkit.harness import Harness

DEPLOYMENT = "AgentDeployment"
HOUR = 3600.0
UNDONE: Mapping[str, dict[str, Any]] = {
    "finalizer": {"metadata": {"finalizers": None}},
    "phase": {"status": {"phase": "Mine"}},
    "conditions": {"status": {"conditions": None}},
    "written for": {"status": {"operator": {"writtenFor": None}}},
    "memory": {"status": {"operator": None}},
    "everything": {"status": {"conditions": None, "phase": None, "deploymentID": None, "operator": {"attempt": None}}},
}


async def undo(harness: Harness, body: Mapping[str, Any], seconds: float) -> tuple[int, set[str]]:
    """Answer each write of the operator at once, as another controller does; how many there were, and all messages."""
    kind, undone, said = harness.kind(DEPLOYMENT), 0, set[str]()
    before, end = len(harness.cluster.writes(kind, "quote")), harness.clock.seconds + seconds
    while harness.clock.seconds < end and undone < 500:
        found = harness.get(DEPLOYMENT, "quote")
        assert found is not None
        version = found["metadata"]["resourceVersion"]
        undone += harness.edit(DEPLOYMENT, "quote", **body)["metadata"]["resourceVersion"] != version
        due = harness.clock.due_in()
        await harness.settled()
        still = harness.get(DEPLOYMENT, "quote")
        said.add(str(condition(still, "Ready").get("message")))
        if still is not None and (due := harness.clock.due_in()) is not None and _is_undone(still, body):
            await harness.advance(max(due, 0.0))
    return len(harness.cluster.writes(kind, "quote")) - before, said


def _is_undone(value: Any, body: Any) -> bool:
    """Whether a value is as the other client left it, by a merge patch with this body."""
    if not isinstance(body, Mapping):
        return bool(value == body)
    members = value if isinstance(value, Mapping) else {}
    return all(_is_undone(members.get(name), one) for name, one in body.items())


@pytest.mark.exhaustive
@pytest.mark.parametrize("what", UNDONE)
async def test_a_write_that_another_client_undoes_is_repeated_ever_more_rarely_and_is_told(harness: Harness,
                                                                                          what: str) -> None:
    harness.apply(an_image(), a_deployment())
    await harness.wait(DEPLOYMENT, "quote")

    writes, _ = await undo(harness, UNDONE[what], HOUR)

    assert writes <= 40  # 5 at once, 9 doublings to 5 minutes, then 12 in an hour

    told = [one for one in harness.cluster.events("quote") if one["reason"] == "WriteUndone"]
    assert told, "no Event names the other client"
    assert "--show-managed-fields" in told[0]["note"]
    await harness.advance(2 * LONGEST_PAUSE.total_seconds())
    await harness.wait(DEPLOYMENT, "quote")
    assert harness.creates(harness.owner(DEPLOYMENT, "quote")) == 1
    assert harness.engine is not None
    assert harness.engine.bugs == 0


async def test_a_resource_that_waits_says_that_another_client_removes_its_finalizer(harness: Harness) -> None:
    harness.apply(a_deployment())  # of a build that is not there
    _, said = await undo(harness, UNDONE["finalizer"], 60)

    assert [one for one in said if "leave the finalizer agentex.scale.com/remote and the status alone" in one]


async def test_builds_that_are_made_anew_because_the_status_is_removed_each_time_become_rarer_too(
        harness: Harness) -> None:
    """Each of them has another id: a write about the next one is a repetition of the write about the one before."""
    harness.apply(a_context(dockerfile=STUCK), a_build())
    await harness.until(lambda: harness.status("AgentBuild", "quote").get("buildID"))
    before, end = len(harness.cluster.writes(AGENT_BUILD, "quote")), harness.clock.seconds + 600
    harness.edit("AgentBuild", "quote", spec={"buildArgs": [{"name": "A", "value": "1"}]})

    while harness.clock.seconds < end:
        if harness.status("AgentBuild", "quote"):
            harness.edit("AgentBuild", "quote", status=None)
        await harness.advance(1)

    assert len(harness.cluster.writes(AGENT_BUILD, "quote")) - before <= 100  # 15 of each of five, not a thousand


@pytest.mark.exhaustive
@pytest.mark.parametrize(("kind", "annotation", "member"), [
    ("AgentBuild", "rebuild_requested_at", "lastHandledRebuildRequestedAt"),
    ("AgentDeployment", "extend_requested_at", "lastHandledExtendRequestedAt"),
])
async def test_a_request_whose_acknowledgement_is_undone_is_acted_on_ever_more_rarely(
        harness: Harness, kind: str, annotation: str, member: str) -> None:
    harness.apply(a_context(), a_build(), a_preview())
    await harness.wait(DEPLOYMENT, "quote")
    harness.annotate(kind, "quote", **{annotation: "1"})

    end = harness.clock.seconds + 1200
    while harness.clock.seconds < end and harness.creates(harness.owner(kind, "quote")) < 60:
        if harness.status(kind, "quote").get(member):
            harness.edit(kind, "quote", status={member: None})
        await harness.advance(5)

    assert harness.creates(harness.owner(kind, "quote")) <= 20  # one, 6 at once, then pauses that double


@pytest.mark.parametrize("kind", [AGENT_BUILD, AGENT_DEPLOYMENT], ids=["build", "deployment"])
async def test_a_status_that_another_client_removes_before_the_id_is_recorded_causes_no_second_create(
        harness: Harness, kind: Kind) -> None:
    harness.apply(an_image())
    if kind == AGENT_DEPLOYMENT:
        await harness.wait("AgentBuild", "quote")
        harness.apply(a_deployment())
    remove = partial(harness.edit, kind.kind, "quote", status=None)
    fault = harness.cluster.fail(Fault("patch_status", kind, act=remove, skip=1))  # the first one is the intent

    await harness.wait(kind.kind, "quote")

    assert (fault.happened, harness.creates(harness.owner(kind.kind, "quote"))) == (1, 1)


@pytest.mark.parametrize("kind", ["AgentBuild", DEPLOYMENT])
async def test_a_resource_whose_status_another_client_removes_is_deleted_with_its_remote_object(
        harness: Harness, kind: str) -> None:
    if kind == DEPLOYMENT:
        harness.apply(a_context(), a_build(), a_preview())
        await harness.wait(kind, "quote")
    else:
        harness.apply(a_context(dockerfile=STUCK), a_build())
        await harness.until(lambda: harness.status(kind, "quote").get("buildID"))
    owner = harness.owner(kind, "quote")
    harness.delete(kind, "quote")

    harness.edit(kind, "quote", status=None)

    await harness.wait(kind, "quote", gone)
    assert harness.living(owner) == []


# --- properties ---------------------------------------------------------------------------------------------------

BODIES = ({"status": {"phase": "Ready"}}, {"status": {"phase": "Failed", "at": "2024-01-01T00:00:00Z"}})


def an_object(status: Mapping[str, Any] | None = None, version: int = 0) -> Object:
    return {"metadata": {"uid": "uid", "resourceVersion": str(version)}, "status": dict(status or {})}


@given(st.lists(st.tuples(st.sampled_from(BODIES), st.floats(0, 400), st.booleans()), max_size=60))
def test_writes_that_nobody_undoes_never_wait(history: list[tuple[dict[str, Any], float, bool]]) -> None:
    """Whether or not somebody edits the spec or the annotations of the object in between."""
    clock, obj = HandClock(), an_object()
    known = UndoneWrites(clock)
    for body, seconds, edited in history:
        assert not known.pause("uid", obj, body)
        answer = an_object(body["status"], int(obj["metadata"]["resourceVersion"]) + 1)
        known.note("uid", obj, body, answer)
        obj = an_object(body["status"], int(answer["metadata"]["resourceVersion"]) + edited)
        clock.seconds += seconds


ANOTHER_EACH_TIME: Mapping[str, Callable[[int], dict[str, Any]]] = {
    "time": lambda number: {"startTime": f"2024-01-01T00:00:{number % 60:02}Z"},
    "id": lambda number: {"buildID": f"b-{number}", "image": {"name": "quote", "tag": f"tag-{number}"}},
    "attempt": lambda number: {"attempt": number, "pendingCreate": {"token": f"t-{number}", "attempt": number}},
    "ids to remove": lambda number: {"condemned": [f"b-{number}"], "removal": {"id": f"b-{number}", "reason": "Edit"}},
    "message": lambda number: {"conditions": [{"type": "Ready", "reason": "Queued", "message": f"b-{number} waits."}]},
}


@pytest.mark.parametrize("another", ANOTHER_EACH_TIME.values(), ids=ANOTHER_EACH_TIME)
@given(times=st.integers(1, 60))
def test_a_write_that_is_undone_each_time_waits_ever_longer_and_never_more_than_the_longest_pause(
        another: Callable[[int], dict[str, Any]], times: int) -> None:
    clock = HandClock()
    known, pauses = UndoneWrites(clock), list[timedelta]()
    for number in range(times):
        body = {"status": {"phase": "Ready", **another(number)}}
        pauses.append(known.pause("uid", an_object(), body))
        clock.seconds += pauses[-1].total_seconds()
        assert not known.pause("uid", an_object(), body), "the pause is over"
        known.note("uid", an_object(), body, an_object(body["status"]))

    assert pauses == sorted(pauses)
    assert (any(pauses), max(pauses) <= LONGEST_PAUSE) == (times > AT_ONCE + 1, True)
