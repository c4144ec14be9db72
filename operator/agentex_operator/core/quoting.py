"""Quoting a user's text in a message: cut to a length, without control characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


def listed(entries: Collection[str]) -> str:
    """The first ten keys, quoted, and the number of the others."""
    shown = ", ".join(quoted(key) for key in list(entries)[:10])
    return f"{shown} and {len(entries) - 10} more" if len(entries) > 10 else shown


def quoted(text: str) -> str:
    """The text in quotes, cut to 80 characters."""
    return repr(text if len(text) <= 80 else text[:79] + "…")


def plain(text: str) -> str:
    """The text without control characters, cut to 160 characters, for use within a sentence."""
    return "".join(one if one.isprintable() else "?" for one in text[:160])
