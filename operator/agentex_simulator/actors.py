"""Everybody else: colleagues, other CI, the UI and the provider, acting from outside (agentex-api.md section 10).

Each actor takes the JSON of POST /_sim/actors/{name} and answers with the ledger facts of what it touched.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from agentex_simulator.build_orders import build_order
from agentex_simulator.deploy_orders import DeployOrder
from agentex_simulator.errors import broken_rule
from agentex_simulator.facts import agent_facts, build_facts, deployment_facts
from agentex_simulator.ledger import ACTOR
from agentex_simulator.records import AS_IT_IS, BUILD_STATUSES, Deployment, Identity, JsonObject, Provenance
from agentex_simulator.world import World

Body = Mapping[str, Any]
STRANGER = Identity("user-somebody-else", "user")
ANOTHERS_TAG = "0123456789ab-0a0b0c0d1"
ANOTHERS_COMMENT = "# agentex.scale.com/owner: another-cluster/another-uid/0123456789ab/1"


def supersede(world: World, body: Body) -> JsonObject:
    """Somebody else's production deployment of the same agent: {id, now?=true}, id of the one to supersede.

    With `now` the new one is healthy at once; otherwise it rolls out like any other.
    """
    victim = world.deployments.known(body["id"])
    newer = world.deployments.create(victim.account_id, _same_without_tokens(victim), ACTOR, STRANGER)
    if body.get("now", True):
        newer = world.deployments.make_healthy(newer.id, ACTOR)
    return deployment_facts(newer)


def delete_deployment(world: World, body: Body) -> JsonObject:
    """Somebody deletes a deployment in the UI: {id}."""
    victim = world.deployments.known(body["id"])
    return deployment_facts(world.deployments.delete(victim.account_id, victim.id, ACTOR))


def fail_deployment(world: World, body: Body) -> JsonObject:
    """A release breaks: {id}."""
    return deployment_facts(world.deployments.fail(body["id"], ACTOR))


def finish_deployment(world: World, body: Body) -> JsonObject:
    """A rollout is healthy now: {id}."""
    return deployment_facts(world.deployments.make_healthy(body["id"], ACTOR))


def expire_preview(world: World, body: Body) -> JsonObject:
    """A preview's time is up now: {id, sweep?=true}; without the sweep only expires_at moves to the past."""
    past = world.clock.now() - timedelta(seconds=1)
    preview = world.deployments.preview(body["id"])
    moved = world.deployments.become(preview.id, ACTOR, expires_at=past)
    return deployment_facts(world.deployments.expire(moved.id, ACTOR) if body.get("sweep", True) else moved)


def take_name(world: World, body: Body) -> JsonObject:
    """Somebody takes an agent name: {account, name, build?=false, deleted?=false}.

    With `build` they register an image under it, so that lists show it; otherwise the name is taken invisibly.
    """
    account, name = str(body["account"]), str(body["name"])
    if body.get("build"):
        fields = {"image_name": name, "agent_name": name, "image_url": f"elsewhere.invalid/{name}:1", "image_tag": "1"}
        return build_facts(world.builds.create(account, build_order(fields, None), ACTOR, STRANGER))
    return agent_facts(world.agents.create(account, name, ACTOR, deleted=bool(body.get("deleted"))))


def delete_agent(world: World, body: Body) -> JsonObject:
    """Somebody deletes an agent, softly: {account, name}."""
    return agent_facts(world.agents.delete(str(body["account"]), str(body["name"]), ACTOR))


def archive_build(world: World, body: Body) -> JsonObject:
    """Somebody archives a build: {id, archived?=true}. GET still shows it, lists do not."""
    archived = bool(body.get("archived", True))
    return build_facts(world.builds.become(body["id"], ACTOR, "archive", archived=archived))


def delete_build(world: World, body: Body) -> JsonObject:
    """Somebody deletes a build: {id, status?}. status deleting or delete_failed leaves it there, so marked."""
    if "status" in body:
        return build_facts(world.builds.become(body["id"], ACTOR, "delete", status=_build_status(body["status"])))
    return build_facts(world.builds.remove(body["id"], ACTOR))


def finish_build(world: World, body: Body) -> JsonObject:
    """The provider ends a build now: {id, status?=success, reason?}; the reason is the last log line."""
    status = _build_status(body.get("status", "success"))
    return build_facts(world.builds.finish(body["id"], status, ACTOR, body.get("reason")))


def set_status(world: World, body: Body) -> JsonObject:
    """Show any text, or null, as a record's status: {id, status}; without `status` the true one shows again."""
    shown = body.get("status", AS_IT_IS)
    if world.builds.shelves.anywhere(body["id"]):
        return build_facts(world.builds.become(body["id"], ACTOR, shown_status=shown))
    return deployment_facts(world.deployments.become(body["id"], ACTOR, shown_status=shown))


def archive_deployment(world: World, body: Body) -> JsonObject:
    """A deployment leaves the lists: {id, archived?=true}."""
    return deployment_facts(world.deployments.become(body["id"], ACTOR, archived=bool(body.get("archived", True))))


def give_away(world: World, body: Body) -> JsonObject:
    """The id of a record becomes somebody else's: {id}. What it names carries another resource's token from now on."""
    if world.builds.shelves.anywhere(body["id"]):
        return build_facts(world.builds.become(body["id"], ACTOR, image_tag=ANOTHERS_TAG, provenance=Provenance()))
    record = world.deployments.known(body["id"])
    manifest = f"{ANOTHERS_COMMENT}\n{_without_comments(record.manifest_file)}"
    return deployment_facts(world.deployments.become(body["id"], ACTOR, manifest_file=manifest))


ACTORS: dict[str, Callable[[World, Body], JsonObject]] = {
    "supersede": supersede,
    "delete-deployment": delete_deployment,
    "archive-deployment": archive_deployment,
    "fail-deployment": fail_deployment,
    "finish-deployment": finish_deployment,
    "expire-preview": expire_preview,
    "take-name": take_name,
    "delete-agent": delete_agent,
    "archive-build": archive_build,
    "delete-build": delete_build,
    "finish-build": finish_build,
    "set-status": set_status,
    "give-away": give_away,
}


def act(world: World, name: str, body: Body) -> JsonObject:
    """Let an actor act; RejectedError 400 for an unknown one or a missing field, 404 for an unknown record."""
    if name not in ACTORS:
        raise broken_rule(f"unknown actor {name!r}; known: {', '.join(sorted(ACTORS))}")
    try:
        return ACTORS[name](world, body)
    except KeyError as error:
        raise broken_rule(f"actor {name} needs {error}") from error


def _same_without_tokens(victim: Deployment) -> DeployOrder:
    """What a stranger would send for the same agent: nobody's comment lines."""
    order = DeployOrder(victim.manifest_file, victim.environment_config, victim.build_id)
    return replace(
        order,
        manifest_file=_without_comments(order.manifest_file),
        environment_config=_without_comments(order.environment_config),
    )


def _without_comments(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.lstrip().startswith("#"))


def _build_status(word: Any) -> str:
    if word not in BUILD_STATUSES:
        raise broken_rule(f"unknown build status {word!r}; set-status shows any text")
    return str(word)
