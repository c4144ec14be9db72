"""The verdicts of agentex_testkit/kstatus.py are those of the real kstatus, which Flux judges by."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reconcile.conftest import MakeHarness

from agentex_testkit.api_server import Object, gone, ready, stalled
from agentex_testkit.builders import (
    FAILING,
    a_build,
    a_context,
    a_deployment,
    a_preview,
    a_secret,
    an_account,
    an_image,
)
from agentex_testkit.harness import Harness
from agentex_testkit.kstatus import verdict

DELETED = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
Judge = Callable[[Sequence[Object]], list[str]]


@pytest.fixture
def real(kstatus: Path) -> Judge:
    """What the real kstatus says of each object."""

    return lambda objects: judged_by(kstatus, objects)


def judged_by(program: Path, objects: Sequence[Object]) -> list[str]:
    lines = "\n".join(map(json.dumps, objects))
    said = subprocess.run([program], input=lines, capture_output=True, text=True, check=True)
    return said.stdout.split()


# --- any object -------------------------------------------------------------------------------------------------------

generations = st.fixed_dictionaries({}, optional={"generation": st.integers(0, 3)})
conditions = st.lists(st.fixed_dictionaries({
    "type": st.sampled_from(("Ready", "Reconciling", "Stalled", "Succeeded", "Available")),
    "status": st.sampled_from(("True", "False", "Unknown", "true", ""))}), max_size=4)
statuses = st.fixed_dictionaries({}, optional={"observedGeneration": st.integers(0, 3), "conditions": conditions})
objects = st.fixed_dictionaries(
    {"apiVersion": st.just("agentex.scale.com/v1alpha1"), "kind": st.sampled_from(("AgentBuild", "AgentDeployment")),
     "metadata": st.tuples(generations, st.sampled_from(({}, {}, {}, DELETED, {"deletionTimestamp": ""}))).map(
         lambda both: {"name": "quote", **both[0], **both[1]})}, optional={"status": statuses})


@settings(max_examples=20, deadline=None)
@given(st.lists(objects, min_size=20, max_size=60))
def test_any_object_gets_the_verdict_of_the_real_kstatus(kstatus: Path, found: list[Object]) -> None:
    assert [verdict(one) for one in found] == judged_by(kstatus, found)


# --- every status that the operator writes ----------------------------------------------------------------------------


def written(harness: Harness) -> Iterator[Object]:
    """Each status that was written, in an object: as it is, with a newer generation, and being deleted."""
    for request in harness.cluster.fake_api.requests:
        if request.verb == "patch_status":
            generation = request.body["status"].get("observedGeneration", 1)
            for newer, deleted in ((0, {}), (1, {}), (0, DELETED)):
                metadata = {"name": "quote", "generation": generation + newer, **deleted}
                yield {"apiVersion": "agentex.scale.com/v1alpha1", "kind": "AgentBuild", "metadata": metadata,
                       "status": request.body["status"]}


async def lifecycle(harness: Harness) -> None:
    """Builds, deployments and previews on most of the ways that a status can take."""
    harness.apply(a_build("waiting"), a_deployment("early"), an_image("registered"))
    await harness.advance(200)
    harness.apply(a_secret(), an_account(harness.simulator.url, pollInterval="5s"))
    harness.apply(a_context("broken", FAILING), a_build("broken"), a_context("waiting"))
    await harness.wait("AgentBuild", "broken", stalled("BuildFailed"))
    await harness.wait("AgentBuild", "waiting")
    harness.apply(a_preview("waiting", ttl="10m"), an_image("still", suspend=True))
    await harness.wait("AgentDeployment", "waiting")
    await harness.wait("AgentBuild", "still")
    harness.edit("AgentBuild", "registered", spec={"source": {"image": {"url": "elsewhere.invalid/quote:2"}}})
    await harness.advance(1000)
    assert ready(harness.get("AgentDeployment", "waiting"))
    for kind, name in (("AgentDeployment", "waiting"), ("AgentBuild", "waiting"), ("AgentBuild", "broken")):
        harness.delete(kind, name)
        await harness.wait(kind, name, gone)


async def test_every_status_of_a_lifecycle_gets_the_verdict_of_the_real_kstatus(
    make_harness: MakeHarness, real: Judge
) -> None:
    harness = make_harness()
    async with harness.running():
        await lifecycle(harness)
    found = list(written(harness))

    assert {verdict(one) for one in found} == {"Terminating", "InProgress", "Failed", "Current"}
    assert len({one["status"]["phase"] for one in found if "phase" in one["status"]}) > 6
    assert [verdict(one) for one in found] == real(found)
