"""The claims on the remote objects of an account: what the resources that may use the account can own there."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from agentex_operator.agentex.watch_request import RecordFilter
from agentex_operator.core import guard, holders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from agentex_operator.core.account_remedies import AccountKey
    from agentex_operator.kube.cluster import Cluster
    from agentex_operator.reconcile.engine import Engine
    from agentex_operator.reconcile.remote import RemotePass
    from agentex_operator.reconcile.views import View

    AnyPass = RemotePass[Any, Any, Any, Any]


class AccountClaims:
    """The claims of all resources of one kind that refer to one account, read from the newest views.

    `run`: the pass of the kind, which knows the owners, and which member of its status holds the recorded id. `skew`:
    how far the clock of the remote may be off.
    """

    def __init__(self, engine: Engine, cluster: Cluster, account: AccountKey, run: type[AnyPass],
                 skew: timedelta) -> None:
        self._engine, self._cluster, self._account, self._run, self._skew = engine, cluster, account, run, skew
        self._owners: dict[str, str] = {}  # by the uid of the resource, of those in the last filter

    async def record_filter(self) -> RecordFilter:
        """The filter of the owners and the recorded ids of the resources. Raises as Cluster does."""
        cluster_uid = await self._cluster.cluster_uid()
        views = self._views()
        ids = (id_ for view in views for id_ in holders.recorded_ids(view.obj.get("status"), self._run.id_member))
        known = self._owners
        self._owners = {view.uid: known.get(view.uid) or self._run.owner_in(cluster_uid, view.uid) for view in views}
        return RecordFilter(frozenset(self._owners.values()), frozenset(ids), frozenset())

    def oldest(self) -> datetime | None:
        """The moment before which none of the resources can own a record; None where there is no resource."""
        created = (guard.or_none(datetime.fromisoformat, text) for view in self._views() for text in _created(view))
        return min((moment - self._skew for moment in created if moment is not None), default=None)

    def _views(self) -> list[View]:
        return [view for view in self._engine.dependents(*self._account) if view.kind == self._run.kind.kind]


def _created(view: View) -> Iterator[str]:
    """When the resource, and the remote object that it took over, were created, as text."""
    yield str(view.obj["metadata"].get("creationTimestamp"))
    taken_over_since = holders.adoption_in(view.obj.get("status")).get("createdAt")
    if taken_over_since:
        yield str(taken_over_since)
