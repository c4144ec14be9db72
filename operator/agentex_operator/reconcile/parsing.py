"""From a raw object to a typed resource; an object that is no valid resource is told so, and left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from agentex_operator import logs
from agentex_operator.api.metadata import Meta
from agentex_operator.api.status import status_as_dict
from agentex_operator.core import guard, invalid
from agentex_operator.core.errors import ExternalError
from agentex_operator.reconcile.announcements import readiness_in
from agentex_operator.reconcile.work_queue import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentex_operator.core.invalid import InvalidObject
    from agentex_operator.kube.kinds import Kind
    from agentex_operator.reconcile.runtime import Runtime
    from agentex_operator.reconcile.views import View

log = logs.logger(__name__)

ResourceT = TypeVar("ResourceT")


def parsed(parse: Callable[[Mapping[str, Any]], ResourceT], obj: Mapping[str, Any]) -> ResourceT | InvalidObject:
    """The resource as a typed value, or what is wrong with it. `parse` may raise any exception."""
    found = guard.result(parse, obj)
    return _finding(found) if isinstance(found, Exception) else found


def _finding(error: Exception) -> InvalidObject:
    """The first problem that pydantic reports, with its place; of another exception only that there is one."""
    if not isinstance(error, ValidationError):
        return invalid.invalid_object((), "it has a value that cannot be read")
    first = error.errors(include_url=False, include_input=False)[0]
    problem = first["msg"].removeprefix("Value error, ")
    return invalid.invalid_object(first["loc"], problem, missing=first["type"] == "missing")


def metadata_of(view: View) -> Meta:
    """The metadata of an object, which the API server has checked, whatever the rest is like."""
    return Meta.parse(view.obj)


async def report_invalid(runtime: Runtime, kind: Kind, view: View, found: InvalidObject) -> Outcome:
    """Report InvalidSpec, unless the status does so already; nothing remote is touched, not even to delete it."""
    stored = dict(view.obj.get("status") or {})
    new = invalid.status_of_invalid(found, metadata_of(view), readiness_in(stored), runtime.clock.now())
    if new is None:
        return Outcome()
    try:
        await runtime.writer(kind, view).save({**stored, **status_as_dict(new)})
    except ExternalError as error:
        log.info("call failed", call="SaveStatus", error=type(error).__name__, message=error.message)
        return Outcome(failed=True)
    return Outcome()
