"""Writing InternalError into the status of an object whose pass raised: the last line of defence against silence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentex_operator import logs
from agentex_operator.api.schema import adapter
from agentex_operator.api.status import Condition, status_as_dict
from agentex_operator.core import guard, internal_error
from agentex_operator.core.errors import ExternalError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentex_operator.core.internal_error import InternalFailure
    from agentex_operator.kube.kinds import Kind
    from agentex_operator.reconcile.runtime import Runtime
    from agentex_operator.reconcile.views import View

log = logs.logger(__name__)


async def report(runtime: Runtime, kind: Kind, view: View, failure: InternalFailure) -> None:
    """Report the failure in the status, unless it says so already; everything else that is on record stays.

    The raw object is used, not the models: what cannot be read must not keep the report from being written.
    """
    stored, metadata = dict(view.obj.get("status") or {}), view.obj["metadata"]
    new = internal_error.status_of_failure(
        failure, _conditions(stored), metadata.get("generation") or 1, runtime.clock.now(),
        deleting="deletionTimestamp" in metadata)
    status = {**stored, **status_as_dict(new)}
    if status == stored:
        return
    try:
        await runtime.writer(kind, view).save(status)
    except ExternalError as error:
        log.info("call failed", call="SaveStatus", error=type(error).__name__, message=error.message)


def _conditions(stored: Mapping[str, Any]) -> Iterator[Condition]:
    """The stored conditions that can be read."""
    for one in stored.get("conditions") or ():
        if (condition := guard.or_none(adapter(Condition).validate_python, one)) is not None:
            yield condition
