"""The simulator's own control plane under /_sim/: loopback only, no key, never part of the API.

GET ledger, calls, state, faults, accounts · POST faults, accounts, reset, actors/{name} · DELETE faults, faults/{id}.
"""

import ipaddress
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from agentex_simulator.actors import act
from agentex_simulator.errors import RejectedError, broken_rule
from agentex_simulator.ledger import Entry, History
from agentex_simulator.simulation import Simulation

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Answer = Callable[[Simulation, web.Request, dict[str, Any]], Any]


def ledger(simulation: Simulation, request: web.Request, _body: Entry) -> Any:
    """{"count": all, "entries": [...]} with ?since=SEQ."""
    return _history(simulation.world.ledger, request)


def calls(simulation: Simulation, request: web.Request, _body: Entry) -> Any:
    """{"count": all, "entries": [...]} with ?since=SEQ."""
    return _history(simulation.world.journal, request)


def state(simulation: Simulation, _request: web.Request, _body: Entry) -> Any:
    """Everything as it truly is."""
    return simulation.world.state()


def list_faults(simulation: Simulation, _request: web.Request, _body: Entry) -> Any:
    """The scripted faults with how often each was seen and fired."""
    return {"faults": simulation.faults.listing()}


def add_fault(simulation: Simulation, _request: web.Request, body: Entry) -> Any:
    """Script one; answers with it and its id."""
    fault = simulation.faults.add(body)
    simulation.set_clock()
    return fault.listing()


def remove_faults(simulation: Simulation, request: web.Request, _body: Entry) -> Any:
    """Forget one, or all."""
    simulation.faults.remove(request.match_info.get("fault_id"))
    simulation.set_clock()
    return list_faults(simulation, request, _body)


def list_accounts(simulation: Simulation, _request: web.Request, _body: Entry) -> Any:
    """Account to keys."""
    return {"accounts": simulation.world.accounts.listing()}


def set_keys(simulation: Simulation, request: web.Request, body: Entry) -> Any:
    """{"account": ID, "keys": [...]}: from now on exactly these; a new account appears so too."""
    if not isinstance(body.get("account"), str) or not isinstance(body.get("keys"), list):
        raise broken_rule("account and keys are required")
    simulation.world.accounts.set_keys(body["account"], body["keys"])
    return list_accounts(simulation, request, body)


def reset(simulation: Simulation, _request: web.Request, _body: Entry) -> Any:
    """An empty world, the keys of the start, no faults; seq numbers begin again."""
    simulation.reset()
    return {}


def let_act(simulation: Simulation, request: web.Request, body: Entry) -> Any:
    """Let an external actor act; answers with the ledger facts of what it touched."""
    simulation.world.timeline.run_due()
    return act(simulation.world, request.match_info["actor"], body)


ROUTES: tuple[tuple[str, str, Answer], ...] = (
    ("GET", "/_sim/ledger", ledger),
    ("GET", "/_sim/calls", calls),
    ("GET", "/_sim/state", state),
    ("GET", "/_sim/faults", list_faults),
    ("POST", "/_sim/faults", add_fault),
    ("DELETE", "/_sim/faults", remove_faults),
    ("DELETE", "/_sim/faults/{fault_id}", remove_faults),
    ("GET", "/_sim/accounts", list_accounts),
    ("POST", "/_sim/accounts", set_keys),
    ("POST", "/_sim/reset", reset),
    ("POST", "/_sim/actors/{actor}", let_act),
)


def add_control(router: web.UrlDispatcher, simulation: Simulation) -> None:
    """Mount the control plane, outside the API's prefix."""
    for method, path, answer in ROUTES:
        router.add_route(method, path, _handler(simulation, answer))


def _handler(simulation: Simulation, answer: Answer) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            _loopback_only(request)
            return web.json_response(answer(simulation, request, await _body(request)))
        except RejectedError as error:
            return web.json_response({"detail": error.detail}, status=error.status)

    return handler


def _loopback_only(request: web.Request) -> None:
    if not ipaddress.ip_address(request.remote or "0.0.0.0").is_loopback:  # noqa: S104 - nowhere, so refused
        raise RejectedError(403, "the control plane answers on the loopback only")


async def _body(request: web.Request) -> Entry:
    text = await request.read()
    try:
        body = json.loads(text or b"{}")
    except ValueError as error:
        raise broken_rule(f"not JSON: {error}") from error
    if not isinstance(body, dict):
        raise broken_rule("a JSON object is required")
    return body


def _history(history: History, request: web.Request) -> Entry:
    since = request.query.get("since", "0")
    if not since.isdecimal():
        raise broken_rule("since must be a seq number")
    return {"count": len(history), "entries": history.since(int(since))}
