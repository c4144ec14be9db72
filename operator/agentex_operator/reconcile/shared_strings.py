"""Shared strings: the keys and values that many objects have in common are kept in memory once.

A JSON parser makes each string anew for each answer, and each event of a watch is an answer of its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentex_operator.reconcile.views import View

CAPACITY: Final = 16_384  # strings that are remembered; when there are more, all are forgotten at once
LONGEST: Final = 256      # characters of a string that is shared; the texts of objects are longer, and rarely equal


class SharedStrings:
    """Replaces equal strings of views by one object."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._known: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._known)

    def view(self, view: View) -> View:
        """An equal view, whose strings are those of earlier views where they are equal."""
        namespace = None if view.namespace is None else self._text(view.namespace)
        return replace(view, kind=self._text(view.kind), uid=self._text(view.uid), namespace=namespace,
                       name=self._text(view.name), resource_version=self._text(view.resource_version),
                       obj=self._members(view.obj))

    def _value(self, value: object) -> object:
        """A copy of a JSON value with shared strings."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            return self._members(value)
        return [self._value(member) for member in value] if isinstance(value, list) else value

    def _members(self, obj: Mapping[str, object]) -> dict[str, object]:
        return {self._text(key): self._value(member) for key, member in obj.items()}

    def _text(self, text: str) -> str:
        if len(text) > LONGEST:
            return text
        if len(self._known) >= self._capacity:
            self._known.clear()
        return self._known.setdefault(text, text)
