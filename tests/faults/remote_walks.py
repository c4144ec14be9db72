"""How each call of the remote API is reached, with something going wrong in it: one walk per call.

Every walk ends alike: one live remote object, the one on record; the resource Ready or in the stated condition; and
after its deletion nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults.remote_stage import Scene, Story, require

from agentex_testkit.api_server import Object, ready, stalled
from agentex_testkit.builders import (
    DOCKERFILE,
    FAILING,
    STUCK,
    a_build,
    a_context,
    a_deployment,
    a_manifest,
    a_preview,
    an_image,
)
from agentex_testkit.judge.findings import Harm
from agentex_testkit.ledger import is_alive

FOR_A_WHILE = 3.0
KEY = "{the key}"  # in a fault: the account's API key, as a server that quotes what it was sent
TO_COLLECTIONS = {"AgentBuild": "/v5/builds", "AgentDeployment": "/v5/agentex/deployments"}
TO_ONE = {"AgentBuild": "/v5/builds/{build_id}", "AgentDeployment": "/v5/agentex/deployments/{deployment_id}"}
Fault = Mapping[str, Any]
OFTEN: Mapping[str, Mapping[str, Any]] = {"once": {}, "3-times": {"count": 3}, "for-a-while": {"healed": True}}


def posts(kind: str) -> Fault:
    return {"method": "POST", "path": TO_COLLECTIONS[kind]}


def gets(kind: str) -> Fault:
    return {"method": "GET", "path": TO_ONE[kind]}


def lists(kind: str) -> Fault:
    """The listings, not an account's probe, which asks for one record."""
    return {"method": "GET", "path": TO_COLLECTIONS[kind], "query": {"limit": "^100"}}


CANCELS: Fault = {"method": "POST", "path": "/v5/builds/{build_id}/cancel"}
DELETES: Fault = {"method": "DELETE", "path": TO_ONE["AgentDeployment"]}
LOGS: Fault = {"method": "GET", "path": "/v5/builds/{build_id}/logs"}


@dataclass(frozen=True)
class Trouble:
    """What goes wrong: the fault, how often (`count`, or until it is `healed`), and what is checked at the end.

    `lagging`: lists are behind as well. `remedy`: what happens once it went wrong; of what is healed, time passes.
    """

    fault: Fault
    count: int = 1
    healed: bool = False
    lagging: bool = False
    remedy: Callable[[Scene, str], Story] | None = None
    check: Callable[[Scene], None] = field(default=lambda _: None)

    def script(self, scene: Scene, match: Fault) -> str:
        """Have it go wrong at these calls; the fault's id."""
        fault = json.loads(json.dumps(dict(self.fault)).replace(KEY, scene.key))
        if fault["kind"] == "redirect":
            fault["location"] = f"http://{scene.stage.elsewhere.host}/v5/builds"
        often = {"forever": True} if self.healed else {"count": self.count}
        return scene.go_wrong(match=match, **often, **fault)

    def passes_by(self, scene: Scene, fault: str) -> Story:
        """The remote heals by itself after so many, or is healed after a while."""
        yield scene.is_hit(fault)
        if self.remedy is not None:
            yield from self.remedy(scene, fault)
        elif self.healed:
            yield scene.passes(FOR_A_WHILE)
            scene.heal(fault)

    def lag(self, scene: Scene) -> None:
        """Lists that are behind from here on, by less than the operator waits once it knows that an answer is lost."""
        if self.lagging:
            scene.set_the_scene("stale-list", seconds=0.5, forever=True)


# --- what is applied ------------------------------------------------------------------------------------------------


def a_resource(scene: Scene, dockerfile: str = DOCKERFILE) -> tuple[Object, ...]:
    """A build of a context with this Dockerfile, or a deployment of a registered image."""
    if _is_run(scene):
        return a_context(scene.name, dockerfile), a_build(scene.name, **scene.ref)
    if scene.kind == "AgentBuild":
        return (an_image(scene.name, **scene.ref),)
    manifest = {"inline": a_manifest(scene.name)}
    return an_image(scene.name, **scene.ref), a_deployment(scene.name, manifest=manifest, **scene.ref)


def preview(scene: Scene, description: str = "answers", **spec: Any) -> tuple[Object, ...]:
    """A preview of a registered image."""
    manifest = {"inline": a_manifest(scene.name, description)}
    return an_image(scene.name, **scene.ref), a_preview(scene.name, manifest=manifest, ttl="9h", **scene.ref, **spec)


def ends_well(scene: Scene, trouble: Trouble) -> Story:
    """Ready, alone, and then deleted without a trace."""
    yield scene.becomes(ready, "Ready")
    yield scene.is_alone()
    yield from ends(scene, trouble)


def ends(scene: Scene, trouble: Trouble) -> Story:
    """What the row asks for holds, and the deletion leaves nothing."""
    trouble.check(scene)
    yield from scene.leaves()


# --- the walks ------------------------------------------------------------------------------------------------------


def at_a_post(scene: Scene, trouble: Trouble) -> Story:
    """The create goes wrong."""
    scene.open()
    fault = trouble.script(scene, posts(scene.kind))
    trouble.lag(scene)
    scene.apply(*a_resource(scene))
    yield from trouble.passes_by(scene, fault)
    yield from ends_well(scene, trouble)


def at_a_list(scene: Scene, trouble: Trouble) -> Story:
    """The listings go wrong: the one before the create, and those that follow it."""
    scene.open()
    fault = trouble.script(scene, lists(scene.kind))
    scene.apply(*a_resource(scene))
    yield from trouble.passes_by(scene, fault)
    yield from ends_well(scene, trouble)


def at_a_get(scene: Scene, trouble: Trouble) -> Story:
    """No listing shows the record any more, so that GETs have to follow it; and those go wrong."""
    scene.open()
    yield from followed_by_gets(scene)
    fault = trouble.script(scene, gets(scene.kind))
    yield from trouble.passes_by(scene, fault)
    let_it_end(scene)
    yield from ends_well(scene, trouble)


def followed_by_gets(scene: Scene) -> Story:
    """Once its id is on record, no listing shows it, and a build of a context runs until `let_it_end`. Not before: on a
    busy machine a create may get no answer in time, and what it made can only be found in a listing.
    """
    scene.apply(*a_resource(scene, STUCK))
    yield scene.until("an id on record", lambda: scene.remote_id)
    scene.go_wrong("hide", lists(scene.kind), forever=True)


def let_it_end(scene: Scene) -> None:
    """What `followed_by_gets` began ends well."""
    if _is_run(scene):
        scene.world.simulator.actor("finish-build", id=scene.remote_id)


def _is_run(scene: Scene) -> bool:
    return scene.kind == "AgentBuild" and not scene.image


def at_a_cancel(scene: Scene, trouble: Trouble) -> Story:
    """A build that runs for ever is cancelled: by deletion, by an edit of its source, or by its user's wish."""
    scene.open()
    scene.apply(a_context(scene.name, STUCK), a_build(scene.name, **scene.ref))
    yield scene.until("a build that runs", lambda: any(one["status"] == "running" for one in scene.remotes))
    fault = trouble.script(scene, CANCELS)
    trouble.lag(scene)
    way = _cancelled_by_deletion if trouble.healed else _cancelled_by_edit if trouble.count > 1 else _cancelled_by_wish
    yield from way(scene, trouble, fault)


def _cancelled_by_deletion(scene: Scene, trouble: Trouble, fault: str) -> Story:
    scene.delete()
    yield from trouble.passes_by(scene, fault)
    yield from ends(scene, trouble)


def _cancelled_by_edit(scene: Scene, trouble: Trouble, fault: str) -> Story:
    scene.creates = 2
    scene.apply(a_context(scene.name))
    yield from trouble.passes_by(scene, fault)
    yield from ends_well(scene, trouble)


def _cancelled_by_wish(scene: Scene, trouble: Trouble, fault: str) -> Story:
    scene.world.patch(scene.kind, scene.name, spec={"cancel": True})
    yield from trouble.passes_by(scene, fault)
    yield scene.becomes(stalled("Cancelled"), "Stalled, because it was cancelled")
    require(not any(is_alive(one) for one in scene.remotes), "I20", "it says Cancelled and a build runs", Harm.LEAKED)
    yield from ends(scene, trouble)


def at_a_delete(scene: Scene, trouble: Trouble) -> Story:
    """A deployment is removed: as the predecessor of an edited preview, or because it is deleted."""
    way = _removed_as_predecessor if trouble.count > 1 else _removed_by_deletion
    yield from way(scene, trouble)


def _removed_by_deletion(scene: Scene, trouble: Trouble) -> Story:
    scene.open()
    scene.apply(*(preview(scene) if trouble.healed else a_resource(scene)))
    yield scene.becomes(ready, "Ready")
    fault = trouble.script(scene, DELETES)
    trouble.lag(scene)
    scene.delete()
    yield from trouble.passes_by(scene, fault)
    yield from ends(scene, trouble)


def _removed_as_predecessor(scene: Scene, trouble: Trouble) -> Story:
    scene.creates = 2
    scene.open()
    scene.apply(*preview(scene))
    yield scene.becomes(ready, "Ready")
    fault = trouble.script(scene, DELETES)
    scene.apply(*preview(scene, "answers better"))
    yield from trouble.passes_by(scene, fault)
    yield from ends_well(scene, trouble)


def at_the_log(scene: Scene, trouble: Trouble) -> Story:
    """A build fails, and the log that says why cannot be read."""
    scene.open()
    fault = trouble.script(scene, LOGS)
    scene.apply(a_context(scene.name, FAILING), a_build(scene.name, **scene.ref))
    yield from trouble.passes_by(scene, fault)
    yield scene.becomes(stalled("BuildFailed"), "Stalled, because the build failed")
    yield scene.until("something of the log", lambda: bool(scene.status.get("logTail")))  # asked for again, if need be
    yield from ends(scene, trouble)
