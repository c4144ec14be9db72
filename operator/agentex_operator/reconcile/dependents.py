"""The index of dependents: which objects refer to an object, kept up to date view by view."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from agentex_operator.reconcile.views import Key, View

if TYPE_CHECKING:
    from agentex_operator.reconcile.bugs import Bugs

ANY_NAME: Final = "*"  # as a name in a reference: every object of that kind and namespace; no object is called so

References = Callable[[View], frozenset[Key]]


class DependentIndex:
    """Answers `dependents` from maps in both directions, instead of scanning all views."""

    def __init__(self, bugs: Bugs) -> None:
        self._bugs = bugs
        self._functions: dict[str, References] = {}
        self._references: dict[str, frozenset[Key]] = {}  # by the uid of the object that refers
        self._dependents: defaultdict[Key, dict[str, None]] = defaultdict(dict)  # uids, in the order of their arrival

    def register(self, kind: str, references: References) -> None:
        """Name the function that says which objects an object of this kind refers to; views must be updated then."""
        self._functions[kind] = references

    def update(self, view: View) -> None:
        """Take in a new view of an object."""
        before, after = self._references.get(view.uid, frozenset()), self._read(view)
        self._unlink(view.uid, before - after)
        for key in after - before:
            self._dependents[key][view.uid] = None
        if after:
            self._references[view.uid] = after
        else:
            self._references.pop(view.uid, None)

    def remove(self, uid: str) -> None:
        """Forget an object that refers to others; unknown uids are ignored."""
        self._unlink(uid, self._references.pop(uid, frozenset()))

    def dependents(self, key: Key) -> list[str]:
        """The uids of all objects that refer to the object of this key."""
        kind, namespace, _ = key
        return list(self._dependents.get(key, {}) | self._dependents.get((kind, namespace, ANY_NAME), {}))

    def references(self, uid: str) -> frozenset[Key]:
        """The objects that an object refers to; none for unknown uids."""
        return self._references.get(uid, frozenset())

    def referred(self, kind: str, namespace: str | None) -> list[Key]:
        """The objects of this kind that any object refers to, in this namespace, or for None in any."""
        return [key for key in self._dependents if key[0] == kind and namespace in (None, key[1])]

    def referring(self, kind: str, namespace: str | None) -> list[str]:
        """The uids of all objects that refer to an object of this kind; in this namespace, or for None in any."""
        return [uid for uid, keys in self._references.items()
                if any(key[0] == kind and namespace in (None, key[1]) for key in keys)]

    def _read(self, view: View) -> frozenset[Key]:
        references = self._functions.get(view.kind)
        if references is None:
            return frozenset()
        try:
            return references(view)
        except Exception:  # the cache must take in every object
            self._bugs.record("the references of an object could not be read: this is a bug in the operator",
                              kind=view.kind, namespace=view.namespace, name=view.name)
            return frozenset()

    def _unlink(self, uid: str, keys: frozenset[Key]) -> None:
        for key in keys:
            uids = self._dependents[key]
            del uids[uid]
            if not uids:
                del self._dependents[key]
