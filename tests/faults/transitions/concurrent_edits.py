"""Edits during an operation: at once, once there is a remote object, while it runs, while it is deleted."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from agentex_testkit.api_server import Object, RefusedError
from agentex_testkit.judge.findings import Finding, Harm
from agentex_testkit.ledger import is_alive, owner_in

if TYPE_CHECKING:
    from tests.faults.transitions.edit_batch import EditBatch, EditSequence

AT_ONCE, CREATED, RUNNING, DELETING = "not seen yet", "created", "running", "deleting"
GONE = 25.0
PLANS: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    "AgentBuild": tuple(
        (edited, before, after, moment) for edited, before, after in (
            ("source.configMapKeyRef.key", "first", "second"), ("image.tag", "v1", "v2"), ("image.tag", "absent", "v1"),
            ("platform", "linux/amd64", "linux/arm64"), ("suspend", "false", "true"), ("cancel", "false", "true"),
            ("retries", "0", "1"), ("source", "map", "image"), ("deletionPolicy", "Delete", "Orphan"))
        for moment in (CREATED, DELETING, AT_ONCE, RUNNING)),
    "AgentDeployment": tuple(
        (edited, before, after, moment) for edited, before, after in (
            ("manifest.inline", "one", "two"), ("preview.label", "one", "odd"), ("preview.ttl", "1h", "90m"),
            ("buildRef.name", "one", "two"), ("environment", "dev", "prod"), ("suspend", "false", "true"),
            ("progressDeadline", "usual", "24h"), ("deletionPolicy", "Delete", "Orphan"))
        for moment in (CREATED, DELETING, AT_ONCE, RUNNING)),
}
LASTING = frozenset({"suspend", "cancel", "deletionPolicy"})  # what is left of these depends on how far it had come


def start(batch: EditBatch) -> None:
    """Apply the first step of every sequence with a moment, and the second one when the moment has come."""
    list(batch.pool.map(lambda one: _go(batch, one), [one for one in batch.sequences if one.moment]))


def _go(batch: EditBatch, sequence: EditSequence) -> None:
    obj = batch.apply(sequence, sequence.steps[0])
    sequence.generation = obj["metadata"]["generation"]
    _await(batch, sequence, _reached(DELETING if sequence.moment == DELETING else sequence.moment))
    if sequence.moment == DELETING:
        sequence.found += _delete_and_edit(batch, sequence, obj)
        sequence.steps = ()
        return
    sequence.steps = (sequence.steps[-1],)


def _await(batch: EditBatch, sequence: EditSequence, come: Callable[[Object], bool]) -> None:
    end = time.monotonic() + GONE
    while time.monotonic() < end:
        status = batch.status(sequence)
        if come(status) or any(one["type"] == "Stalled" for one in status.get("conditions", ())):
            return
        time.sleep(0.05)
    title = f"{sequence.kind} {sequence.name}"
    text = f"{title}: after {GONE:.0f} s it is not yet {sequence.moment}: {batch.status(sequence)}"
    sequence.found.append(Finding("I20", text, Harm.STUCK))


def _reached(moment: str) -> Callable[[Object], bool]:
    """Whether a resource with this status has come so far."""
    has_remote: Callable[[Object], bool] = lambda it: "buildID" in it or "deploymentID" in it  # noqa: E731
    runs: Callable[[Object], bool] = lambda it: str(it.get("remoteStatus", "")).lower() in (  # noqa: E731
        "running", "in_progress", "success", "healthy")
    return {AT_ONCE: lambda _: True, CREATED: has_remote, RUNNING: runs, DELETING: has_remote}[moment]


def _delete_and_edit(batch: EditBatch, sequence: EditSequence, obj: Object) -> list[Finding]:
    """An edit during the deletion neither stops the deletion nor starts anything."""
    api, where, title = batch.runner.world.api, batch.runner.world.namespace, f"{sequence.kind} {sequence.name}"
    api.delete(sequence.kind, sequence.name, where)
    _edit_once_more(batch, sequence)
    end = time.monotonic() + GONE
    while api.get(sequence.kind, sequence.name, where) is not None:
        if time.monotonic() > end:
            return [Finding("I21", f"{title}: edited while it was deleted, it does not go", Harm.STUCK)]
        time.sleep(0.1)
    return [Finding("I21", f"{title} is gone, and {one} lives on", Harm.LEAKED) for one in _alive(batch, sequence, obj)]


def _edit_once_more(batch: EditBatch, sequence: EditSequence) -> None:
    """Edit the resource unless it is gone; repeat after a conflict with the operator's write."""
    for _ in range(10):
        try:
            batch.replace(sequence, sequence.steps[-1])
        except RefusedError as refusal:
            if refusal.status == 409:
                continue
            if refusal.status != 404:
                raise
        return


def _alive(batch: EditBatch, sequence: EditSequence, obj: Object) -> list[str]:
    """The remote objects that are still alive, Orphan aside."""
    if "Orphan" in sequence.all_steps:
        return []
    state, owner = batch.runner.simulator.state(), batch.owner(obj)
    return [one["id"] for one in (*state["builds"], *state["deployments"]) if owner_in(one) == owner and is_alive(one)]
