"""The last known version of each ConfigMap that a resource names, so that a list shows what changed unseen.

A change that the watch tells needs no comparison. After a gap a list is compared with what the passes have read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentex_operator.reconcile.views import is_newer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentex_operator.kube.metadata import Name

UNSURE: Final = ""  # passes have read two versions: whatever a list shows, one of them may have missed it

Version = str | None  # the resourceVersion, or None where there is no such object


class ReferenceVersions:
    """Keeps one resourceVersion for each object that is named (`is_named`), and nothing of the others."""

    def __init__(self, is_named: Callable[[Name], bool]) -> None:
        self._is_named = is_named
        self._known: dict[Name, Version] = {}

    def __len__(self) -> int:
        return len(self._known)

    def take_read(self, name: Name, version: Version) -> bool:
        """Take in what a pass read; whether those that name the object must look again.

        They must if the read is older than what is known, or of unknown order. After a newer read an event will come;
        a list that comes instead shows the object as changed.
        """
        if not self._is_named(name):
            return False
        known = self._known.setdefault(name, version)
        if known == version:
            return False
        expected = version is not None and known is not None and is_newer(version, known)
        self._known[name] = UNSURE if expected else version
        return not expected

    def take_change(self, name: Name, version: Version) -> bool:
        """Take in a change that the watch tells; whether a resource names the object."""
        if not self._is_named(name):
            self._known.pop(name, None)
            return False
        self._known[name] = version
        return True

    def take_list(self, asked: frozenset[Name], found: Mapping[Name, str], named: frozenset[Name]) -> list[Name]:
        """Take in a list; which of `named`, the objects that are named now, must be read again.

        `asked` was named when the list began, and `found` is what the list has of it. To read again is what changed,
        and what is named since: it may have been read before the list was.
        """
        self._known = {name: version for name, version in self._known.items() if self._is_named(name)}
        changed = [name for name in asked & named if self._known.setdefault(name, found.get(name)) != found.get(name)]
        self._known.update((name, found.get(name)) for name in changed)
        return [*changed, *(named - asked)]
