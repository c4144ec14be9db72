"""Every endpoint of agentex-api.md section 1: read and check first, then a commit that answers."""

from functools import partial

from aiohttp import web

from agentex_simulator.builds import undeployed
from agentex_simulator.calls import Call, Commit, Prepare
from agentex_simulator.deploy_orders import deploy_order
from agentex_simulator.errors import RejectedError
from agentex_simulator.exchange import serve
from agentex_simulator.paging import limit_of, page, page_query
from agentex_simulator.replies import Reply, json_reply
from agentex_simulator.shelf import R, Shelf
from agentex_simulator.simulation import Simulation
from agentex_simulator.sse import log_frames
from agentex_simulator.uploads import read_build_order

BUILD_FILTERS = ("agent_name", "source_commit", "working_tree_hash")
DEPLOYMENT_FILTERS = ("agent_name", "build_id", "preview_label")
LOG_LIMIT = 100
MAX_LOG_LIMIT = 500


async def create_build(call: Call) -> Commit:
    """POST /v5/builds (section 1.2)."""
    builds, account = call.world.builds, call.owner
    order = await read_build_order(call.request, call.world.settings.max_archive)
    return lambda: _one(builds.shelf(account), builds.create(account, order, call.cause).id)


async def get_build(call: Call) -> Commit:
    """GET /v5/builds/{build_id} (section 1.3)."""
    builds, account = call.world.builds, call.owner
    return lambda: _one(builds.shelf(account), builds.get(account, call.wanted).id)


async def list_builds(call: Call) -> Commit:
    """GET /v5/builds (section 1.3)."""
    return _listing(call, call.world.builds.shelf(call.owner), BUILD_FILTERS)


async def list_undeployed(call: Call) -> Commit:
    """GET /v5/builds/undeployed: a bare list (section 1.3)."""
    world, account = call.world, call.owner
    deployed = partial(world.deployments.ever_healthy, account)
    return lambda: json_reply(undeployed(world.builds.shelf(account), deployed))


async def cancel_build(call: Call) -> Commit:
    """POST /v5/builds/{build_id}/cancel: 202 and the record as it was (section 1.4)."""
    builds, account = call.world.builds, call.owner
    await call.request.read()
    return lambda: _one(builds.shelf(account), builds.cancel(account, call.wanted, call.cause).id, 202)


async def stream_build_log(call: Call) -> Commit:
    """GET /v5/builds/{build_id}/logs: server-sent events (section 1.6)."""
    call.world.builds.get(call.owner, call.wanted)
    frames = partial(log_frames, call.world, call.owner, call.wanted)
    return lambda: Reply(content_type="text/event-stream", frames=frames)


async def create_deployment(call: Call) -> Commit:
    """POST /v5/agentex/deployments (section 1.5)."""
    deployments, account = call.world.deployments, call.owner
    order = deploy_order(await call.json())
    return lambda: _one(deployments.shelf(account), deployments.create(account, order, call.cause).id)


async def get_deployment(call: Call) -> Commit:
    """GET /v5/agentex/deployments/{deployment_id} (section 1.5)."""
    deployments, account = call.world.deployments, call.owner
    return lambda: _one(deployments.shelf(account), deployments.get(account, call.wanted).id)


async def list_deployments(call: Call) -> Commit:
    """GET /v5/agentex/deployments (section 1.5); a label matches only as it was sanitised."""
    return _listing(call, call.world.deployments.shelf(call.owner), DEPLOYMENT_FILTERS)


async def delete_deployment(call: Call) -> Commit:
    """DELETE /v5/agentex/deployments/{deployment_id} (section 1.5)."""
    deployments, account = call.world.deployments, call.owner
    return lambda: _one(deployments.shelf(account), deployments.delete(account, call.wanted, call.cause).id)


async def page_deployment_log(call: Call) -> Commit:
    """GET /v5/agentex/deployments/{deployment_id}/logs (section 1.5)."""
    query = call.request.query
    limit = limit_of(query, LOG_LIMIT, MAX_LOG_LIMIT)
    lines = partial(call.world.deployments.log_page, call.owner, call.wanted, query.get("cursor", ""), limit)
    return lambda: json_reply(lines())


async def create_secret(call: Call) -> Commit:
    """POST /v5/sgp/secrets (section 8)."""
    secrets, account, body = call.world.secrets, call.owner, await call.json()
    return lambda: _one(secrets.shelf(account), secrets.create(account, body, call.cause).id)


async def get_secret(call: Call) -> Commit:
    """GET /v5/sgp/secrets/{secret_id} (section 8)."""
    secrets, account = call.world.secrets, call.owner
    return lambda: _one(secrets.shelf(account), secrets.get(account, call.wanted).id)


async def list_secrets(call: Call) -> Commit:
    """GET /v5/sgp/secrets: no filter by key (section 8)."""
    return _listing(call, call.world.secrets.shelf(call.owner), ())


async def update_secret(call: Call) -> Commit:
    """PATCH /v5/sgp/secrets/{secret_id} (section 8)."""
    secrets, account, body = call.world.secrets, call.owner, await call.json()
    return lambda: _one(secrets.shelf(account), secrets.update(account, call.wanted, body, call.cause).id)


async def delete_secret(call: Call) -> Commit:
    """DELETE /v5/sgp/secrets/{secret_id}: 204 (section 8)."""
    secrets, account = call.world.secrets, call.owner

    def commit() -> Reply:
        secrets.delete(account, call.wanted, call.cause)
        return Reply(204)

    return commit


async def no_such_route(call: Call) -> Commit:
    """Anything else: 404, and in the journal."""
    raise RejectedError(404, f"{call.request.method} {call.request.path}: Not Found")


ROUTES: tuple[tuple[str, str, Prepare], ...] = (
    ("POST", "/v5/builds", create_build),
    ("GET", "/v5/builds", list_builds),
    ("GET", "/v5/builds/undeployed", list_undeployed),  # before {build_id}, which would take it for an id
    ("GET", "/v5/builds/{build_id}", get_build),
    ("POST", "/v5/builds/{build_id}/cancel", cancel_build),
    ("GET", "/v5/builds/{build_id}/logs", stream_build_log),
    ("POST", "/v5/agentex/deployments", create_deployment),
    ("GET", "/v5/agentex/deployments", list_deployments),
    ("GET", "/v5/agentex/deployments/{deployment_id}", get_deployment),
    ("DELETE", "/v5/agentex/deployments/{deployment_id}", delete_deployment),
    ("GET", "/v5/agentex/deployments/{deployment_id}/logs", page_deployment_log),
    ("POST", "/v5/sgp/secrets", create_secret),
    ("GET", "/v5/sgp/secrets", list_secrets),
    ("GET", "/v5/sgp/secrets/{secret_id}", get_secret),
    ("PATCH", "/v5/sgp/secrets/{secret_id}", update_secret),
    ("DELETE", "/v5/sgp/secrets/{secret_id}", delete_secret),
    ("*", "/{tail:.*}", no_such_route),
)


def add_api(router: web.UrlDispatcher, simulation: Simulation) -> None:
    """Mount the API under the prefix of the settings."""
    for method, template, prepare in ROUTES:
        router.add_route(method, simulation.settings.prefix + template, serve(simulation, template, prepare))


def _listing(call: Call, shelf: Shelf[R], filters: tuple[str, ...]) -> Commit:
    query = page_query(call.request.query, filters)
    return lambda: Reply(body=page(shelf, query, call.view, call.world.clock.now()))


def _one(shelf: Shelf[R], record_id: str, status: int = 200) -> Reply:
    return Reply(status, shelf.encoded(record_id))
