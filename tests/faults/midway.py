"""Edits while something is under way: at once, once there is a remote object, while it runs, while it is deleted."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from agentex_testkit.api_server import Object, RefusedError
from agentex_testkit.judge.findings import Finding, Harm
from agentex_testkit.ledger import is_alive, owner_in

if TYPE_CHECKING:
    from tests.faults.courses import Stage, Walk

AT_ONCE, CREATED, RUNNING, DELETING = "not seen yet", "created", "running", "deleting"
GONE = 25.0
PLANS: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    "AgentBuild": tuple(
        (subject, before, after, moment) for subject, before, after in (
            ("source.configMap.key", "first", "second"), ("image.tag", "v1", "v2"), ("image.tag", "absent", "v1"),
            ("platform", "linux/amd64", "linux/arm64"), ("suspend", "false", "true"), ("cancel", "false", "true"),
            ("retries", "0", "1"), ("source", "map", "image"), ("deletionPolicy", "Cancel", "Orphan"))
        for moment in (CREATED, DELETING, AT_ONCE, RUNNING)),
    "AgentDeployment": tuple(
        (subject, before, after, moment) for subject, before, after in (
            ("manifest.inline", "one", "two"), ("preview.label", "one", "odd"), ("preview.ttl", "1h", "90m"),
            ("buildRef.name", "one", "two"), ("environment", "dev", "prod"), ("suspend", "false", "true"),
            ("progressDeadline", "usual", "24h"), ("deletionPolicy", "Delete", "Orphan"))
        for moment in (CREATED, DELETING, AT_ONCE, RUNNING)),
}
LASTING = frozenset({"suspend", "cancel", "deletionPolicy"})  # what is left of these depends on how far it had come


def set_out(stage: Stage) -> None:
    """Take the first step of every walk with a moment, and the second as soon as it has come."""
    list(stage.hands.map(lambda one: _go(stage, one), [one for one in stage.walks if one.moment]))


def _go(stage: Stage, walk: Walk) -> None:
    obj = stage.apply(walk, walk.steps[0])
    walk.generation = obj["metadata"]["generation"]
    _await(stage, walk, _reached(DELETING if walk.moment == DELETING else walk.moment))
    if walk.moment == DELETING:
        walk.found += _delete_and_edit(stage, walk, obj)
        walk.steps = ()
        return
    walk.steps = (walk.steps[-1],)


def _await(stage: Stage, walk: Walk, come: Callable[[Object], bool]) -> None:
    end = time.monotonic() + GONE
    while time.monotonic() < end:
        status = stage.status(walk)
        if come(status) or any(one["type"] == "Stalled" for one in status.get("conditions", ())):
            return
        time.sleep(0.05)
    walk.found.append(Finding("I20", f"{walk.kind} {walk.name}: after {GONE:.0f} s it is not yet {walk.moment}: "
                              f"{stage.status(walk)}", Harm.STUCK))


def _reached(moment: str) -> Callable[[Object], bool]:
    """Whether a resource with this status has come that far."""
    has_remote: Callable[[Object], bool] = lambda it: "buildID" in it or "deploymentID" in it  # noqa: E731
    runs: Callable[[Object], bool] = lambda it: str(it.get("remoteStatus", "")).lower() in (  # noqa: E731
        "running", "in_progress", "success", "healthy")
    return {AT_ONCE: lambda _: True, CREATED: has_remote, RUNNING: runs, DELETING: has_remote}[moment]


def _delete_and_edit(stage: Stage, walk: Walk, obj: Object) -> list[Finding]:
    """An edit of what is being deleted neither stops it nor starts anything."""
    api, where, title = stage.bench.world.api, stage.bench.world.namespace, f"{walk.kind} {walk.name}"
    api.delete(walk.kind, walk.name, where)
    _edit_once_more(stage, walk)
    end = time.monotonic() + GONE
    while api.get(walk.kind, walk.name, where) is not None:
        if time.monotonic() > end:
            return [Finding("I21", f"{title}: edited while it was deleted, it does not go", Harm.STUCK)]
        time.sleep(0.1)
    return [Finding("I21", f"{title} is gone, and {one} lives on", Harm.LEAKED) for one in _alive(stage, walk, obj)]


def _edit_once_more(stage: Stage, walk: Walk) -> None:
    """Unless it is gone already; the operator writes at the same time, so a conflict is tried again."""
    for _ in range(10):
        try:
            stage.replace(walk, walk.steps[-1])
        except RefusedError as refusal:
            if refusal.status == 409:
                continue
            if refusal.status != 404:
                raise
        return


def _alive(stage: Stage, walk: Walk, obj: Object) -> list[str]:
    """What lives on although nobody wants it to."""
    if "Orphan" in walk.all_steps:
        return []
    state, owner = stage.bench.simulator.state(), stage.owner(obj)
    return [one["id"] for one in (*state["builds"], *state["deployments"]) if owner_in(one) == owner and is_alive(one)]
