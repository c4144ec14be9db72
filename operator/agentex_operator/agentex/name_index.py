"""An index from names to members: which records an owner has, which followers ask for an id."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet


class NameIndex:
    """The members of each name. A name without members takes no room; None is no name, and has no members."""

    def __init__(self) -> None:
        self._members: dict[str, set[str]] = {}

    @property
    def names(self) -> frozenset[str]:
        """All names that have a member."""
        return frozenset(self._members)

    def of(self, name: str | None) -> AbstractSet[str]:
        """The members of this name."""
        return self._members.get(name, frozenset()) if name is not None else frozenset()

    def add(self, name: str | None, member: str) -> None:
        """Give the name this member; does nothing for None."""
        if name is not None:
            self._members.setdefault(name, set()).add(member)

    def discard(self, name: str | None, member: str) -> None:
        """Take this member from the name; does nothing if the name does not have it."""
        if name is not None and (members := self._members.get(name)) is not None:
            members.discard(member)
            if not members:
                del self._members[name]
