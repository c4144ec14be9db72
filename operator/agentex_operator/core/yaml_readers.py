"""What one reader of YAML takes and another one refuses or reads differently; texts with such parts are refused.

The operator reads with libyaml, the vendor's SDK with the reader that PyYAML has in Python, others with YAML 1.2.
libyaml alone skips a byte-order mark at the start of any line; PyYAML alone refuses a tab between two values, and a
question mark in a text without quotes in flow style.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BREAKS: Final = "\n\r\x85\u2028\u2029"
_MARK_IN_TEXT: Final = re.compile(f"[{_BREAKS}]\ufeff")
_COMMENT: Final = re.compile(rf"(?:(?<=\s)|^)#[^{_BREAKS}]*", re.MULTILINE)
_HEAD_OF_BLOCK: Final = re.compile(f"[|>][^{_BREAKS}]*")
_COMMENT_AT_ONCE: Final = re.compile("[|>][0-9+-]*#")
_LINE: Final = re.compile(f"\r\n|[{_BREAKS}]")


def mark_in(text: str) -> tuple[str, int] | None:
    """What to do about a byte-order mark at the start of a line, and the line (from 1); None without one."""
    found = _MARK_IN_TEXT.search(text)
    return None if found is None else (
        "the line begins with a byte-order mark (U+FEFF); remove it", _line(text, found.end()))


def difference(text: str, events: Iterable[yaml.Event]) -> tuple[str, int] | None:
    """The first part of each sort that readers take differently: what to do, and its line (from 1); None without one.

    `events`: those of the text.
    """
    scalars = [event for event in events if isinstance(event, yaml.ScalarEvent)]
    for event in scalars:
        if event.style in ("|", ">") and _COMMENT_AT_ONCE.search(text, *_head(text, event)):
            return f"a comment follows {event.style} at once; put a space before #", _line(text, _place(event)[0])
    if "\t" in text and (tab := _tab_in(text, scalars)) is not None:
        return "it has a tab outside of quotes; replace it by spaces", _line(text, tab)
    if "?" in text and (found := next(_with_question_mark(events), None)) is not None:
        return "a text with a question mark within braces or brackets has no quotes; put it in quotes", _line(
            text, found)
    return None


def _tab_in(text: str, scalars: list[yaml.ScalarEvent]) -> int | None:
    """Where a tab is outside of quotes, block texts and comments; None if there is none."""
    quoted = [_content(text, event) for event in scalars if event.style]
    for (_, start), (end, _) in pairwise([(0, 0), *quoted, (len(text), len(text))]):
        blanked = _COMMENT.sub(lambda found: "#" * len(found[0]), text[start:end])
        if (at := blanked.find("\t")) >= 0:
            return start + at
    return None


def _content(text: str, event: yaml.ScalarEvent) -> tuple[int, int]:
    """Where a quoted text starts, without its anchor and tag, and ends; a block text starts after its first line."""
    start, end = _place(event)
    return (_head(text, event)[1] if event.style in ("|", ">") else text.find(event.style or "", start, end)), end


def _head(text: str, event: yaml.ScalarEvent) -> tuple[int, int]:
    """Where the first line of a block text starts, without its anchor and tag, and ends."""
    start, end = _place(event)
    found = _HEAD_OF_BLOCK.search(text, start, end)
    return (start, end) if found is None else found.span()


def _with_question_mark(events: Iterable[yaml.Event]) -> Iterator[int]:
    """Where a text without quotes starts that is in flow style and has a question mark."""
    in_flow = 0
    for event in events:
        match event:
            case yaml.CollectionStartEvent():
                in_flow += bool(in_flow or event.flow_style)
            case yaml.CollectionEndEvent():
                in_flow -= bool(in_flow)
            case yaml.ScalarEvent(value=value, style=style) if in_flow and not style and "?" in value:
                yield _place(event)[0]
            case _:
                pass


def _place(event: yaml.Event) -> tuple[int, int]:
    """Where the event starts and ends, in characters; the parser marks both for every scalar."""
    assert event.start_mark is not None, "a scalar without its start"  # noqa: S101 - the parser sets it
    assert event.end_mark is not None, "a scalar without its end"  # noqa: S101 - the parser sets it
    return event.start_mark.index, event.end_mark.index


def _line(text: str, index: int) -> int:
    return len(_LINE.findall(text, 0, index)) + 1
