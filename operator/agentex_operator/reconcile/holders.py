"""Which other resources hold or claim a remote object: read from the cache, or live from the API server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentex_operator.api.metadata import Meta
from agentex_operator.core import guard, holders
from agentex_operator.core.holders import Holder
from agentex_operator.kube.shared_reads import SharedReads
from agentex_operator.reconcile.views import view_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agentex_operator.clock import Clock
    from agentex_operator.core.calls import FindHolders
    from agentex_operator.kube.cluster import Cluster
    from agentex_operator.kube.kinds import Kind
    from agentex_operator.reconcile.engine import Engine
    from agentex_operator.reconcile.views import View


@dataclass(frozen=True, slots=True)
class Seeker:
    """The resource that is about to take an object over.

    `id_member`: the one of a status that holds the recorded id. `owner_of`: a uid to the owner that its tokens name.
    `asked_at`: a live read must be sent at this time or later (monotonic, seconds).
    """

    kind: Kind
    id_member: str
    uid: str
    owner_of: Callable[[str], str]
    asked_at: float


class Holders:
    """Finds holders in the views of the engine, or in a list of all objects of the kind in the watched namespaces."""

    def __init__(self, engine: Engine, cluster: Cluster, clock: Clock, namespaces: tuple[str, ...],
                 kinds: tuple[Kind, ...]) -> None:
        self._engine, self._cluster, self._kinds = engine, cluster, kinds
        self._namespaces: tuple[str | None, ...] = namespaces or (None,)
        self._reads: dict[Kind, SharedReads] = {}
        self._clock = clock

    async def find(self, seeker: Seeker, call: FindHolders) -> tuple[Holder, ...]:
        """The other resources that hold or claim one of the objects. Raises as Cluster does, if `call.live`."""
        if not call.live:
            return found_in((view.obj for view in self._engine.views(seeker.kind.kind)), seeker, call)
        reads = self._reads.setdefault(seeker.kind, SharedReads(lambda _: self._list(seeker.kind), self._clock, 0))
        answer = await reads.get(seeker.kind.plural, seeker.asked_at) or {}
        return found_in(answer["items"], seeker, call)

    async def resources(self, namespace: str | None) -> list[View]:
        """List all resources with a remote counterpart, live: of this namespace, or for None of the watched ones."""
        namespaces = self._namespaces if namespace is None else (namespace,)
        return [view for kind in self._kinds for one in namespaces for view in await self._views(kind, one)]

    async def _list(self, kind: Kind) -> dict[str, Any]:
        listed = [await self._views(kind, namespace) for namespace in self._namespaces]
        return {"items": [view.obj for views in listed for view in views]}

    async def _views(self, kind: Kind, namespace: str | None) -> list[View]:
        """The views of all objects of a kind, live. Of the raw objects only one page is held, for they are large."""
        found: list[View] = []
        async for page in self._cluster.pages(kind, namespace):
            views = [view for obj in page.objects if (view := view_of(kind.kind, obj)) is not None]
            found = views if page.is_first else found + views
        return found


def found_in(objects: Iterable[Mapping[str, Any]], seeker: Seeker, call: FindHolders) -> tuple[Holder, ...]:
    """Those of these objects that hold or claim one of the remote objects, the seeker itself left out."""
    holders_found = (_holder(obj, seeker, call) for obj in objects)
    return tuple(one for one in holders_found if one is not None)


def _holder(obj: Mapping[str, Any], seeker: Seeker, call: FindHolders) -> Holder | None:
    meta = guard.or_none(Meta.parse, obj)
    if meta is None or meta.uid == seeker.uid:
        return None
    owner, said = seeker.owner_of(meta.uid), obj.get("status")
    named = holders.named_objects(meta.uid, owner, said, seeker.id_member)
    holds = named.holds(call.ids, call.owner)
    if not holds and not named.claims(call.ids):
        return None
    return Holder(seeker.kind.kind, meta.namespace or "", meta.name, meta.uid, meta.creation_timestamp, holds,
                  named.first_of(call.ids))
