"""Which resources hold an account, read from their views; and the wake of a deleted account when that changes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from agentex_operator.api.metadata import FINALIZER
from agentex_operator.core import account_hold
from agentex_operator.core.account_hold import BoundResource
from agentex_operator.reconcile import references

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentex_operator.core.account_hold import AccountHolders
    from agentex_operator.reconcile.engine import Engine
    from agentex_operator.reconcile.holders import Holders
    from agentex_operator.reconcile.views import View

REPORT_DELAY = timedelta(seconds=5)  # a deleted account reports the departure of many holders in one write


def holders(engine: Engine, account: View) -> AccountHolders:
    """The resources that hold this account, by the newest views."""
    return _holders(account, engine.dependents(*account.key))


async def live_holders(found: Holders, account: View) -> AccountHolders:
    """The resources that hold this account, listed from the API server. Raises as Cluster does."""
    return _holders(account, await found.resources(account.namespace))


def _holders(account: View, resources: Iterable[View]) -> AccountHolders:
    remote = references.remote_account(account, references.SPEC)
    return account_hold.holders(account.key, remote, (bound_resource(view) for view in resources))


def bound_resource(view: View) -> BoundResource:
    """The resource of a view, as far as it may hold an account; a malformed object gives what can be read of it."""
    metadata = view.obj["metadata"]
    return BoundResource(view.kind, view.namespace, view.name, references.bound_account(view),
                         references.remote_account(view, references.BOUND_ACCOUNT),
                         has_finalizer=FINALIZER in (metadata.get("finalizers") or ()),
                         deleting="deletionTimestamp" in metadata)


class DeletedAccounts:
    """Has a pass of a deleted account when a resource that holds it goes, or is deleted as well."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def resource_changed(self, before: View | None, after: View | None) -> None:
        """Take in a change of a resource: the account goes at once when nothing holds it any more."""
        if before is None or (key := references.bound_account(before)) is None:
            return
        account = self._engine.find(*key)
        if account is None or "deletionTimestamp" not in account.obj["metadata"]:
            return
        if after is not None and bound_resource(after) == bound_resource(before):
            return
        if holders(self._engine, account):
            self._engine.wake_after(account.uid, REPORT_DELAY)
        else:
            self._engine.wake(account.uid)
