"""The cache: the newest view of every object, by uid, kind, name and reference, and who is told when a view changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING

from agentex_operator.reconcile.dependents import DependentIndex
from agentex_operator.reconcile.views import Key, View, is_newer, version_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentex_operator.reconcile.bugs import Bugs
    from agentex_operator.reconcile.dependents import References

Subscriber = Callable[[View | None, View | None], None]


class ViewCache:
    """Keeps the newest view of each object. `removed(view)` is called for each object that leaves the cache."""

    def __init__(self, bugs: Bugs, removed: Callable[[View], None]) -> None:
        self._bugs = bugs
        self._removed = removed
        self._views: dict[str, View] = {}
        self._by_kind: defaultdict[str, dict[str, View]] = defaultdict(dict)
        self._uids: dict[Key, str] = {}
        self._index = DependentIndex(bugs)
        self._subscribers: defaultdict[str, list[Subscriber]] = defaultdict(list)
        self._newest: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._views)

    def subscribe(self, kind: str, subscriber: Subscriber) -> None:
        """Call `subscriber(old, new)` for each change of a view of this kind, see Engine.subscribe."""
        self._subscribers[kind].append(subscriber)

    def index(self, kind: str, references: References) -> None:
        """Index the objects of this kind by the objects that they refer to."""
        self._index.register(kind, references)
        for view in self.views(kind):
            self._index.update(view)

    def view(self, uid: str) -> View | None:
        """The newest view of an object, or None if the object is not known."""
        return self._views.get(uid)

    def find(self, kind: str, namespace: str | None, name: str) -> View | None:
        """The newest view by name, or None; namespace None for cluster-scoped kinds."""
        return self._views.get(self._uids.get((kind, namespace, name), ""))

    def views(self, kind: str) -> Iterator[View]:
        """The newest views of a kind at the time of the call, in no particular order."""
        return iter(list(self._by_kind[kind].values()))

    def dependents(self, kind: str, namespace: str | None, name: str) -> list[View]:
        """The newest views of the objects that refer to the object of that name, whether or not that one exists."""
        return [self._views[uid] for uid in self._index.dependents((kind, namespace, name))]

    def references(self, uid: str) -> frozenset[Key]:
        """The objects that an object refers to; none for unknown uids."""
        return self._index.references(uid)

    def referred(self, kind: str, namespace: str | None) -> list[Key]:
        """The objects of this kind that any object refers to, whether or not they exist; as `referring`."""
        return self._index.referred(kind, namespace)

    def referring(self, kind: str, namespace: str | None) -> list[str]:
        """The uids of the objects that refer to any object of this kind; in this namespace, or for None in any."""
        return self._index.referring(kind, namespace)

    def remember(self, seen: View) -> bool:
        """Keep the view if it is newer than the one in the cache; False for an echo or a stale view."""
        before = self._views.get(seen.uid)
        if before is None:
            return self._add(seen)
        if not is_newer(seen.resource_version, before.resource_version):
            return False
        self._store(seen)
        self._announce(before, seen)
        return True

    def _add(self, seen: View) -> bool:
        """Keep an object not seen before, in place of an older one of the same name; False if the other is newer."""
        namesake = self.find(*seen.key)
        if namesake is not None and not is_newer(seen.resource_version, namesake.resource_version):
            return False
        if namesake is not None:
            self.forget(namesake.uid)
        self._uids[seen.key] = seen.uid
        self._store(seen)
        self._announce(None, seen)
        return True

    def newest_version(self, kind: str) -> int:
        """The highest resourceVersion of this kind that was ever kept; 0 if no version was a number."""
        return self._newest.get(kind, 0)

    def _store(self, view: View) -> None:
        if (version := version_number(view.resource_version)) is not None:
            self._newest[view.kind] = max(self.newest_version(view.kind), version)
        self._views[view.uid] = self._by_kind[view.kind][view.uid] = view
        self._index.update(view)

    def forget(self, uid: str) -> None:
        """Drop an object; unknown uids are ignored."""
        view = self._views.pop(uid, None)
        if view is None:
            return
        del self._by_kind[view.kind][uid]
        if self._uids.get(view.key) == uid:
            del self._uids[view.key]
        self._index.remove(uid)
        self._removed(view)
        self._announce(view, None)

    def _announce(self, before: View | None, after: View | None) -> None:
        view = after or before
        if view is not None:
            for subscriber in self._subscribers[view.kind]:
                self._bugs.call(subscriber, before, after)
