"""Carries one call: journal, faults, admission, reading, commit, answer."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime

from aiohttp import ClientError, web

from agentex_simulator.calls import Call, Prepare
from agentex_simulator.clock import stamp
from agentex_simulator.course import Course, Drop
from agentex_simulator.delivery import cut, deliver
from agentex_simulator.errors import RejectedError
from agentex_simulator.ledger import Entry
from agentex_simulator.replies import Reply, rejection
from agentex_simulator.simulation import Simulation
from agentex_simulator.world import World

CLIENT_WENT_AWAY = (ConnectionError, ClientError, asyncio.IncompleteReadError)


class _CutError(Exception):
    """The connection is to end here, without an answer."""

    def __init__(self, how: Drop) -> None:
        super().__init__(how)
        self.how = how


def serve(
    simulation: Simulation, template: str, prepare: Prepare
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A handler for one endpoint: `prepare` reads and checks the request, what it returns commits and answers."""

    async def handler(request: web.Request) -> web.StreamResponse:
        call = _arrived(simulation, template, request)
        began = call.world.clock.elapsed()
        try:
            return await _carry(simulation, call, prepare)
        finally:
            call.entry["bytes"] = request.content.total_bytes
            call.entry["seconds"] = round(call.world.clock.elapsed() - began, 6)

    return handler


async def _carry(simulation: Simulation, call: Call, prepare: Prepare) -> web.StreamResponse:
    course = simulation.faults.course(call)
    call.entry["faults"], call.view = course.names, course.view
    try:
        reply = await _reply(call, course, prepare)
    except _CutError as end:
        call.entry["dropped"] = True
        return cut(call.request, end.how)
    except CLIENT_WENT_AWAY:
        call.entry["dropped"] = True
        return web.Response()
    call.entry["status"] = reply.status
    return await deliver(call.request, _dated(call.world, reply), course.manner)


async def _reply(call: Call, course: Course, prepare: Prepare) -> Reply:
    _cut_if(course.unread_drop)
    if course.refusal is not None:
        return _refused(call, course, course.refusal)
    try:
        reply = await _committed(call, course, prepare)
    except RejectedError as error:
        reply = rejection(error)
    _cut_if(course.answer_drop)
    return _bent(course.answer or reply, course)


def _refused(call: Call, course: Course, refusal: Reply) -> Reply:
    if course.retry_until is None:
        return refusal
    end = call.world.clock.now() + timedelta(seconds=course.retry_until)
    return replace(refusal, headers={"Retry-After": format_datetime(end, usegmt=True)})


async def _committed(call: Call, course: Course, prepare: Prepare) -> Reply:
    headers = call.request.headers
    call.account = call.world.accounts.admit(headers.get("x-api-key"), headers.get("x-selected-account-id"))
    if course.half_drop is not None:
        await call.request.content.readany()
        raise _CutError(course.half_drop)
    commit = await prepare(call)
    _cut_if(course.read_drop)
    if course.leave_at_once is not None:
        cut(call.request, course.leave_at_once)
    await asyncio.sleep(course.commit_delay)
    call.world.timeline.run_due()
    return _accepted(call) if course.without_effect else commit()


def _accepted(call: Call) -> Reply:
    build = call.world.builds.get(call.owner, call.wanted)
    return Reply(202, call.world.builds.shelf(call.owner).encoded(build.id))


def _bent(reply: Reply, course: Course) -> Reply:
    if not course.rewrites or reply.status >= 300 or not reply.body:
        return reply
    body = json.loads(reply.body)
    for rewrite in course.rewrites:
        body = rewrite(body)
    return replace(reply, body=json.dumps(body).encode())


def _dated(world: World, reply: Reply) -> Reply:
    """A remote with a wrong clock says so in its Date header too."""
    if not world.clock.skew:
        return reply
    return replace(reply, headers={**reply.headers, "Date": format_datetime(world.clock.now(), usegmt=True)})


def _arrived(simulation: Simulation, template: str, request: web.Request) -> Call:
    world = simulation.world
    world.timeline.run_due()
    account = world.accounts.owner(request.headers.get("x-api-key"))
    entry = world.journal.open(_facts(simulation, template, request, account))
    return Call(request, template, world, entry, account)


def _facts(simulation: Simulation, template: str, request: web.Request, account: str | None) -> Entry:
    return {
        "time": stamp(simulation.world.clock.now()),
        "elapsed": simulation.world.clock.elapsed(),
        "method": request.method,
        "path": request.path.removeprefix(simulation.settings.prefix),
        "template": template,
        "query": dict(request.query),
        "account": account,
        "user_agent": request.headers.get("User-Agent"),
        "retry": request.headers.get("x-stainless-retry-count"),
        "bytes": 0,
        "seconds": None,
    }


def _cut_if(how: Drop | None) -> None:
    if how is not None:
        raise _CutError(how)
