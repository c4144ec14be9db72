"""The byte-order mark, which some editors write before a text: no part of the text."""

from __future__ import annotations

from typing import Final

_MARK: Final = "\ufeff"


def without_mark(text: str) -> str:
    """The text without the byte-order marks (U+FEFF) before it; nothing else is changed, line ends in particular."""
    return text.lstrip(_MARK)
