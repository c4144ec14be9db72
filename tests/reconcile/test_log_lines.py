"""What the log says at INFO: one line for each remote act and for each change of Ready, and none at rest."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tests.house import documents
from tests.house.tree import ROOT
from tests.reconcile.conftest import MakeHarness

from agentex_operator.core.errors import Conflict
from agentex_operator.kube.kinds import AGENT_BUILD, AGENT_DEPLOYMENT
from agentex_operator.logs import JsonLines, Redactor
from agentex_testkit import builders
from agentex_testkit.api_server import Object, condition, gone, says, stalled
from agentex_testkit.fake_cluster.faults import Fault
from agentex_testkit.harness import Harness

Line = dict[str, Any]
CREATED, ADOPTED, READY = "remote object created", "remote object adopted", "Ready changed"
CANCELLED, DELETED = "remote object cancelled", "remote object deleted"
NO_ANSWER = "remote create: outcome unknown"
POSTS = {"AgentBuild": {"method": "POST", "path": "/v5/builds"},
         "AgentDeployment": {"method": "POST", "path": "/v5/agentex/deployments"}}
OF_EACH_LINE = {"kind", "namespace", "name", "reason", "duration"}
BOTH_KINDS = pytest.mark.parametrize("kind", POSTS)


class Lines(logging.Handler):
    """Keeps each line as the operator writes it in the format `json`."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(JsonLines(Redactor()))
        self.all: list[Line] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.all.append(json.loads(self.format(record)))

    def of(self, name: str, kind: str | None = None) -> list[Line]:
        """The lines about a resource of that name."""
        return [one for one in self.all if one.get("name") == name and kind in (None, one.get("kind"))]

    def counts(self, name: str, kind: str | None = None) -> dict[str, int]:
        """How many lines of each message there are about a resource of that name."""
        messages = [one["msg"] for one in self.of(name, kind)]
        return {message: messages.count(message) for message in messages}


@pytest.fixture
def lines() -> Iterator[Lines]:
    """The lines of the operator, from INFO on."""
    operator, kept = logging.getLogger("agentex_operator"), Lines()
    level = operator.level
    operator.setLevel(logging.INFO)
    operator.addHandler(kept)
    yield kept
    operator.removeHandler(kept)
    operator.setLevel(level)


def a_resource(kind: str, name: str = "quote", **spec: Any) -> Object:
    """A resource of this kind and of the agent `quote`; a deployment deploys the AgentBuild `quote`."""
    if kind == "AgentBuild":
        return builders.an_image(name, agentName="quote", **spec)
    texts = {"buildRef": {"name": "quote"}, "manifest": {"inline": builders.a_manifest()}}
    return builders.a_deployment(name, **texts, **spec)


async def with_what_it_needs(harness: Harness, kind: str) -> None:
    """Have the AgentBuild `quote` Ready, if the kind needs one."""
    if kind == "AgentDeployment":
        harness.apply(builders.an_image())
        await harness.wait("AgentBuild", "quote")


def remote_id(harness: Harness, kind: str, name: str = "quote") -> str:
    status = harness.status(kind, name)
    return str(status["buildID" if kind == "AgentBuild" else "deploymentID"])


def short(line: Mapping[str, Any]) -> tuple[Any, ...]:
    return line["msg"], line.get("ready"), line.get("reason"), line.get("id")


# --- lifecycles -----------------------------------------------------------------------------------------------------


async def test_a_build_and_a_deployment_say_each_act_and_each_change_of_ready_once(
        harness: Harness, lines: Lines) -> None:
    harness.apply(builders.a_context(), builders.a_build(), builders.from_build())
    await harness.wait("AgentBuild", "quote")
    await harness.wait("AgentDeployment", "quote")
    build, deployment = remote_id(harness, "AgentBuild"), remote_id(harness, "AgentDeployment")
    harness.delete("AgentDeployment", "quote")
    await harness.wait("AgentDeployment", "quote", gone)
    harness.delete("AgentBuild", "quote")
    await harness.wait("AgentBuild", "quote", gone)

    assert [short(one) for one in lines.of("quote", "AgentBuild")] == [
        (READY, "Unknown", "Building", None), (CREATED, None, "Building", build), (READY, "True", "Succeeded", build)]
    assert [short(one) for one in lines.of("quote", "AgentDeployment")] == [
        (READY, "Unknown", "BuildNotReady", None), (READY, "Unknown", "Deploying", None),
        (CREATED, None, "Deploying", deployment), (READY, "True", "Healthy", deployment),
        (DELETED, None, "Deleted", deployment)]


async def test_each_line_has_the_same_fields_in_their_places(harness: Harness, lines: Lines) -> None:
    harness.apply(builders.a_context(), builders.a_build(), builders.from_build())
    await harness.wait("AgentDeployment", "quote")

    said = lines.of("quote")
    assert said
    assert [one for one in said if not set(one) >= OF_EACH_LINE] == []
    assert {(one["kind"], one["namespace"]) for one in said} == {("AgentBuild", "team"), ("AgentDeployment", "team")}
    assert all(isinstance(one["duration"], int | float) and one["duration"] >= 0 for one in said)
    assert all(one["level"] == "info" for one in said)


async def test_each_field_of_a_line_is_documented(harness: Harness, lines: Lines) -> None:
    harness.simulator.fault("commit-then-drop-response", match=POSTS["AgentBuild"])
    harness.apply(builders.a_context(), builders.a_build(), builders.from_build())
    await harness.wait("AgentDeployment", "quote")
    documented = set(documents.first_column(ROOT / "docs" / "operations.md", "field"))

    assert {field for line in lines.of("quote") for field in line if line["msg"] != "call failed"} == documented


async def test_ready_says_how_long_the_operation_took(harness: Harness, lines: Lines) -> None:
    harness.apply(builders.a_context(), builders.a_build())
    began = harness.clock.seconds
    await harness.wait("AgentBuild", "quote")

    (done,) = [one for one in lines.of("quote") if one.get("ready") == "True"]
    assert done["duration"] == pytest.approx(harness.clock.seconds - began, abs=0.5)
    assert done["duration"] >= 2  # how long a build of the simulator takes


async def test_a_change_of_ready_does_not_repeat_the_message_of_the_condition(harness: Harness, lines: Lines) -> None:
    harness.apply(builders.a_build())
    await harness.wait("AgentBuild", "quote", says("Ready", "False", "ConfigMapNotFound"))

    message = condition(harness.get("AgentBuild", "quote"), "Ready")["message"]
    assert [one for one in lines.of("quote") if one["msg"] == READY and message in json.dumps(one)] == []


async def test_an_account_says_that_it_is_ready(bare: Harness, lines: Lines) -> None:
    await bare.with_account()

    assert [short(one) for one in lines.of("default")] == [(READY, "True", "Succeeded", None)]
    assert lines.of("default")[0]["kind"] == "AgentexAccount"


async def test_a_failed_build_is_one_line_with_the_reason(harness: Harness, lines: Lines) -> None:
    harness.apply(builders.a_context(dockerfile=builders.FAILING), builders.a_build())
    await harness.wait("AgentBuild", "quote", stalled("BuildFailed"))
    await harness.advance(60)

    assert lines.counts("quote") == {CREATED: 1, READY: 2}
    assert short(lines.of("quote")[-1]) == (READY, "False", "BuildFailed", remote_id(harness, "AgentBuild"))


async def test_a_cancelled_build_is_one_line_with_the_reason(harness: Harness, lines: Lines) -> None:
    harness.apply(builders.a_context(dockerfile=builders.STUCK), builders.a_build())
    await harness.until(lambda: harness.status("AgentBuild", "quote").get("buildID"))
    harness.edit("AgentBuild", "quote", spec={"cancel": True})
    await harness.wait("AgentBuild", "quote", says("Ready", "False", "Cancelled"))

    (line,) = [one for one in lines.of("quote") if one["msg"] == CANCELLED]
    assert (line["reason"], line["id"]) == ("Requested", remote_id(harness, "AgentBuild"))


async def test_a_resource_at_rest_says_nothing(harness: Harness, lines: Lines) -> None:
    harness.apply(builders.a_context(), builders.a_build(), builders.from_build())
    await harness.wait("AgentDeployment", "quote")
    lines.all.clear()

    await harness.advance(3600)

    assert lines.all == []


async def test_a_restarted_operator_says_nothing_of_what_is_as_it_was(
        make_harness: MakeHarness, lines: Lines) -> None:
    harness = make_harness()
    async with harness.running():
        await harness.with_account()
        harness.apply(builders.a_context(), builders.a_build(), builders.from_build())
        await harness.wait("AgentDeployment", "quote")
    lines.all.clear()

    async with harness.running():
        await harness.advance(600)

    assert lines.of("quote") + lines.of("default") == []


# --- adoptions ------------------------------------------------------------------------------------------------------


@BOTH_KINDS
async def test_spec_adopt_is_one_line(harness: Harness, lines: Lines, kind: str) -> None:
    await with_what_it_needs(harness, kind)
    harness.apply(a_resource(kind, "first"))
    await harness.wait(kind, "first")
    id_ = remote_id(harness, kind, "first")
    harness.take_away(kind, "first")

    harness.apply(a_resource(kind, adopt={"buildID" if kind == "AgentBuild" else "deploymentID": id_}))
    await harness.wait(kind, "quote")

    assert lines.counts("quote", kind) == {ADOPTED: 1, READY: 1}
    assert short(lines.of("quote", kind)[0])[2:] == ("Requested", id_)


@BOTH_KINDS
async def test_an_answer_that_is_lost_is_one_line_and_the_adoption_another(
        harness: Harness, lines: Lines, kind: str) -> None:
    await with_what_it_needs(harness, kind)
    harness.simulator.fault("commit-then-drop-response", match=POSTS[kind])
    harness.apply(a_resource(kind))
    await harness.wait(kind, "quote")

    said = lines.counts("quote", kind)
    assert {message: said.get(message, 0) for message in (CREATED, NO_ANSWER, ADOPTED, "call failed")} == {
        CREATED: 0, NO_ANSWER: 1, ADOPTED: 1, "call failed": 0}
    (lost,) = [one for one in lines.of("quote", kind) if one["msg"] == NO_ANSWER]
    (found,) = [one for one in lines.of("quote", kind) if one["msg"] == ADOPTED]
    assert "id" not in lost
    assert lost["error"] == "Unavailable"
    assert (found["reason"], found["id"]) == ("FoundByToken", remote_id(harness, kind))


@BOTH_KINDS
async def test_a_create_whose_id_could_not_be_recorded_is_adopted_later(
        harness: Harness, lines: Lines, kind: str) -> None:
    await with_what_it_needs(harness, kind)
    of_kind = AGENT_BUILD if kind == "AgentBuild" else AGENT_DEPLOYMENT
    harness.cluster.fail(Fault("patch_status", of_kind, error=Conflict("another writer"), skip=1))
    harness.apply(a_resource(kind))
    await harness.wait(kind, "quote")

    said = lines.counts("quote", kind)
    assert (said[CREATED], said[ADOPTED], harness.creates(harness.owner(kind, "quote"))) == (1, 1, 1)


@BOTH_KINDS
async def test_a_restored_status_is_one_adoption(harness: Harness, lines: Lines, kind: str) -> None:
    await with_what_it_needs(harness, kind)
    harness.apply(a_resource(kind))
    backup = await harness.wait(kind, "quote")
    harness.take_away(kind, "quote")
    lines.all.clear()

    harness.cluster.watch.hold()
    harness.apply(a_resource(kind))
    harness.edit(kind, "quote", status=backup["status"])
    harness.cluster.watch.release()
    await harness.wait(kind, "quote")
    await harness.advance(60)

    adopted = [short(one)[2:] for one in lines.of("quote", kind) if one["msg"] == ADOPTED]
    assert adopted == [("Restored", remote_id(harness, kind))]
    assert CREATED not in lines.counts("quote", kind)


# --- the kind: every create has exactly one line, whatever its answer -------------------------------------------------

ANSWERS: dict[str, tuple[str, dict[str, Any], tuple[int, int, int]]] = {  # lines of: created, no answer, adopted
    "lost": ("commit-then-drop-response", {}, (0, 1, 1)),
    "an error after the commit": ("commit-then-500", {}, (0, 1, 1)),
    "cut": ("truncated", {}, (0, 1, 1)),
    "empty": ("empty-body", {}, (0, 1, 1)),
    "without an id": ("id", {"missing": True}, (0, 1, 1)),
    "an outage": ("outage", {"count": 1}, (1, 1, 0)),
    "a pause": ("throttle", {"retry_after": "20"}, (1, 0, 0)),
    "a no": ("status", {"status": 413}, (1, 0, 0)),
}


@BOTH_KINDS
@pytest.mark.parametrize("answer", ANSWERS)
async def test_each_create_is_one_line_whatever_its_answer(
        harness: Harness, lines: Lines, kind: str, answer: str) -> None:
    await with_what_it_needs(harness, kind)
    fault, script, expected = ANSWERS[answer]
    harness.simulator.fault(fault, match=POSTS[kind], **script)
    harness.apply(a_resource(kind))
    await harness.wait(kind, "quote", within=1200)

    said = lines.counts("quote", kind)
    refused = [one for one in lines.of("quote", kind) if one.get("call", "").startswith("Create")]
    assert (said.get(CREATED, 0), said.get(NO_ANSWER, 0), said.get(ADOPTED, 0)) == expected
    assert len(refused) == (answer in ("a pause", "a no"))


@pytest.mark.parametrize(("answer", "said"), [
    ("commit-then-drop-response", ("remote deletion: outcome unknown",)),
    ("outage", ("remote deletion: outcome unknown", DELETED)),
])
async def test_a_deletion_without_an_answer_is_a_line_of_its_own(
        harness: Harness, lines: Lines, answer: str, said: tuple[str, ...]) -> None:
    await with_what_it_needs(harness, "AgentDeployment")
    harness.apply(builders.a_deployment())
    await harness.wait("AgentDeployment", "quote")
    harness.simulator.fault(answer, match={"method": "DELETE"}, count=1)
    harness.delete("AgentDeployment", "quote")
    await harness.wait("AgentDeployment", "quote", gone)

    acts = tuple(one["msg"] for one in lines.of("quote", "AgentDeployment") if one.get("reason") == "Deleted")
    assert acts == said


async def test_no_line_has_the_key_of_the_account(harness: Harness, lines: Lines) -> None:
    harness.apply(builders.a_context(), builders.a_build(), builders.from_build())
    await harness.wait("AgentDeployment", "quote")

    assert builders.KEY not in json.dumps(lines.all)
