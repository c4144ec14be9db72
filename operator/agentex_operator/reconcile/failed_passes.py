"""Writes into the status of an object why its pass raised or could not begin: the last line of defence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentex_operator import logs
from agentex_operator.api.schema import adapter
from agentex_operator.api.status import Condition, status_as_dict
from agentex_operator.core import failed_pass, guard, internal_error
from agentex_operator.core.errors import ExternalError
from agentex_operator.core.failed_pass import FailedPass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentex_operator.api.status import Status
    from agentex_operator.core.internal_error import InternalFailure
    from agentex_operator.kube.kinds import Kind
    from agentex_operator.reconcile.runtime import Runtime
    from agentex_operator.reconcile.views import View

log = logs.logger(__name__)


async def report(runtime: Runtime, kind: Kind, view: View, failure: InternalFailure) -> None:
    """Report the exception that nobody listed in the status; everything else that is on record stays."""
    await _save(runtime, kind, view, internal_error.status_of_failure(failure, _failed_pass(runtime, view)))


async def report_not_begun(runtime: Runtime, kind: Kind, view: View, error: ExternalError) -> None:
    """Report in the status why the pass could not begin; everything else that is on record stays."""
    new = failed_pass.status_of_not_begun(error, _failed_pass(runtime, view))
    if new is not None:
        await _save(runtime, kind, view, new)


def _failed_pass(runtime: Runtime, view: View) -> FailedPass:
    """Read from the raw object, not the models: what cannot be read must not keep the report from being written."""
    metadata = view.obj["metadata"]
    return FailedPass(tuple(_conditions(view.obj.get("status") or {})), metadata.get("generation") or 1,
                      runtime.clock.now(), deleting="deletionTimestamp" in metadata)


def _conditions(stored: Mapping[str, Any]) -> Iterator[Condition]:
    """The stored conditions that can be read."""
    for one in stored.get("conditions") or ():
        if (condition := guard.or_none(adapter(Condition).validate_python, one)) is not None:
            yield condition


async def _save(runtime: Runtime, kind: Kind, view: View, new: Status) -> None:
    """Write the status, unless it says so already."""
    stored = dict(view.obj.get("status") or {})
    status = {**stored, **status_as_dict(new)}
    if status == stored:
        return
    try:
        await runtime.writer(kind, view).save(status)
    except ExternalError as error:
        log.info("call failed", call="SaveStatus", error=type(error).__name__, message=error.message)
