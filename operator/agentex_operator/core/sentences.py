"""Sentences of messages, some of whose words come from outside: a log line, an event, the detail of a refusal."""

from __future__ import annotations

from typing import Final

_ENDS: Final = (".", "!", "?", "…")


def sentence(text: str) -> str:
    """The text with a full stop at its end, unless it ends as a sentence already; "" for a blank text."""
    bare = text.rstrip()
    return bare if not bare or is_sentence(bare) else f"{bare.rstrip(',;:')}."


def is_sentence(text: str) -> bool:
    """Whether the text ends with a full stop, a question mark, an exclamation mark or an ellipsis."""
    return text.endswith(_ENDS)
