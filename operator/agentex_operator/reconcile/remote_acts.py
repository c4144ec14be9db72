"""The lines of the log about remote acts: one for each create, adoption, cancellation and deletion."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from agentex_operator import logs
from agentex_operator.core import adoptions, calls, conditions
from agentex_operator.core.errors import ExternalError, Unavailable
from agentex_operator.reconcile import shell

if TYPE_CHECKING:
    from agentex_operator.api.status import RemoteStatus
    from agentex_operator.core.remote import RemoteRecord

log = logs.logger(__name__)


class Act(StrEnum):
    """The messages; docs/operations.md has them all."""

    CREATED = "remote object created"
    ADOPTED = "remote object adopted"
    CANCELLED = "remote object cancelled"
    DELETED = "remote object deleted"
    CREATE_UNKNOWN = "remote create: outcome unknown"
    CANCELLATION_UNKNOWN = "remote cancellation: outcome unknown"
    DELETION_UNKNOWN = "remote deletion: outcome unknown"


class RemoteActs:
    """Logs what one pass does to the remote objects of the resource with this uid.

    `stored`: the status that the API server has. `cancels`: whether a removal cancels the object, or else deletes it.
    """

    def __init__(self, uid: str, stored: RemoteStatus, *, cancels: bool) -> None:
        self._uid, self._stored = uid, stored
        self._created: set[str] = set()
        self._removed = Act.CANCELLED if cancels else Act.DELETED
        self._removal_unknown = Act.CANCELLATION_UNKNOWN if cancels else Act.DELETION_UNKNOWN

    def log_call(self, call: object, outcome: object, seconds: float) -> None:
        """Log a call that was a remote act, or that failed; `seconds`: how long the call took."""
        match call:
            case calls.Create() if isinstance(outcome, Unavailable):
                _log(Act.CREATE_UNKNOWN, self._reason_of_ready, None, seconds, outcome)
            case calls.Remove() if isinstance(outcome, Unavailable):
                _log(self._removal_unknown, call.reason, call.id, seconds, outcome)
            case _ if isinstance(outcome, ExternalError):
                shell.log_failure(call, outcome, seconds)
            case calls.Create():
                self._log_created(call.read(outcome), seconds)
            case calls.Remove():
                _log(self._removed, call.reason, call.id, seconds)
            case calls.SaveStatus() | calls.WriteIntent():
                self._log_adoptions(call.status, seconds)
            case _:
                pass  # neither a remote act nor a failure

    def _log_created(self, record: RemoteRecord, seconds: float) -> None:
        self._created.add(record.id)
        _log(Act.CREATED, self._reason_of_ready, record.id, seconds)

    def _log_adoptions(self, written: RemoteStatus, seconds: float) -> None:
        """An adoption is a line only once it is on record: until then the next pass may decide otherwise."""
        before, self._stored = self._stored, written
        for id_, reason in adoptions.adopted(before, written, self._uid, self._created).items():
            _log(Act.ADOPTED, reason, id_, seconds)

    @property
    def _reason_of_ready(self) -> str | None:
        """The reason of Ready in the status that was written last: right before a create it says why."""
        ready = conditions.find(self._stored.conditions, conditions.READY)
        return ready.reason if ready else None


def _log(act: Act, reason: str | None, id_: str | None, seconds: float, error: ExternalError | None = None) -> None:
    problem = {"error": type(error).__name__, "message": error.message} if error else {}
    log.info(act, reason=reason, id=id_, duration=round(seconds, 3), **problem)
