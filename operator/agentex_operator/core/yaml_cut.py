"""Reducing a map in a YAML text to one of its entries: the rest is cut out of the text, nothing is written anew.

So comments, order, quotes and line ends of what is kept stay as the user wrote them. Only an alias whose anchor is cut
away is replaced, by the anchored value; and a map that cannot be cut by lines is replaced by its entry in flow style.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from agentex_operator.core import yaml_nodes, yaml_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentex_operator.core.yaml_nodes import Node

_BREAK: Final = re.compile(r"\r\n|\r|\n")
_BEFORE_KEY: Final = re.compile(r" *(\?[ \t]+)?")


def with_one_entry(text: str, name: str, key: str) -> str | None:
    """The text of a map, in which the map under the root key `name` has the entry `key` only.

    None if that is not possible: the map itself comes from a merge key, or the replaced aliases make the text too long.
    For a text that `yaml_text.load` has read.
    """
    root = yaml_nodes.root_of(text)
    place = next((pair for pair in root.pairs if _is(pair[0], name)), None)
    pair = _entry(place[1], key) if place else None
    cuts = _cuts(text, place, pair) if place and pair else None
    aliases = _aliases(root, cuts) if cuts is not None else None
    return None if cuts is None or aliases is None else _applied(text, [*cuts, *aliases])


@dataclass(frozen=True, slots=True)
class _Edit:
    """text[start:end] is to be replaced by `text`."""

    start: int
    end: int
    text: str = ""

    def contains(self, node: Node) -> bool:
        return self.start <= node.start < self.end


def _is(node: Node, value: str) -> bool:
    return getattr(node.meant.event, "value", None) == value


def _entry(entries: Node, key: str) -> tuple[Node, Node] | None:
    """The entry of that key: written in the map itself, or merged into it."""
    merged = [pair[1].meant for pair in entries.meant.pairs if _is(pair[0], "<<")]
    maps = [one.meant for source in merged for one in ([source] if source.pairs else source.items)]
    own = [pair for pair in entries.meant.pairs if _is(pair[0], key)]
    return own[0] if own else next((found for one in maps if (found := _entry(one, key))), None)


def _cuts(text: str, place: tuple[Node, Node], pair: tuple[Node, Node]) -> list[_Edit] | None:
    """What to remove so that of the map at `place` only this entry is left; None if it would be too long."""
    entries = place[1]
    if entries.target is None and pair in entries.pairs:
        position = entries.pairs.index(pair)
        cut = _cut_block(text, place, position) if entries.is_block else _cut_flow(entries, position)
        if cut is not None:
            return cut
    return _replaced(text, entries, pair)


def _replaced(text: str, entries: Node, pair: tuple[Node, Node]) -> list[_Edit] | None:
    """The whole map, replaced by one with this entry in flow style."""
    key, value = (yaml_nodes.in_flow(one, yaml_text.LONGEST_TEXT) for one in pair)
    ends_with_break = text[entries.content_end - 1] in "\r\n"  # of a block scalar
    whole = f"{{{key}: {value}}}" + ("\n" if ends_with_break else "")
    return None if key is None or value is None else [_Edit(entries.start, entries.content_end, whole)]


def _cut_flow(entries: Node, position: int) -> list[_Edit]:
    pairs = entries.pairs
    return [_Edit(pairs[0][0].start, pairs[position][0].start), _Edit(pairs[position][1].end, pairs[-1][1].end)]


# --- block style ----------------------------------------------------------------------------------------------------


def _cut_block(text: str, place: tuple[Node, Node], position: int) -> list[_Edit] | None:
    """The lines of the other entries, with the comments right above each; None if entries share lines with others."""
    pairs = place[1].pairs
    starts = [_line_start(text, key.start) for key, _ in pairs]
    if not all(_BEFORE_KEY.fullmatch(text, start, key.start) for start, (key, _) in zip(starts, pairs, strict=True)):
        return None
    ends = [place[0].end, *(max(key.end, value.content_end) for key, value in pairs)]
    column = _indentation(text[starts[0]:])
    gaps = [_split(text, _after(text, end), column) for end in ends]
    whole = all(_only_comments(text, gap, start) for gap, start in zip(gaps[1:], starts[1:], strict=False))
    if not whole or not _only_comments(text, gaps[0], starts[0]):
        return None
    return [_Edit(gaps[0], gaps[position]), _Edit(gaps[position + 1], gaps[-1])]


def _line_start(text: str, index: int) -> int:
    return max(text.rfind("\n", 0, index), text.rfind("\r", 0, index)) + 1


def _after(text: str, end: int) -> int:
    """The start of the first line after a content that ends there; a block scalar ends at the start of a line."""
    return end if text[end - 1] in "\r\n" else _next_line(text, end)


def _next_line(text: str, index: int) -> int:
    found = _BREAK.search(text, index)
    return found.end() if found else len(text)


def _lines(text: str, start: int) -> Iterator[tuple[int, str]]:
    """The lines from there on, each with its start."""
    while start < len(text):
        after = _next_line(text, start)
        yield start, text[start:after]
        start = after


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _split(text: str, start: int, column: int) -> int:
    """Where the comments and blank lines that still belong to the entry above end: deeper comments do, and blanks."""
    for at, line in _lines(text, start):
        content = line.strip()
        deeper = content.startswith("#") and _indentation(line) > column
        if content and not deeper:
            return at
    return len(text)


def _only_comments(text: str, start: int, end: int) -> bool:
    lines = (line.strip() for _, line in takewhile(lambda one: one[0] < end, _lines(text, start)))
    return start <= end and all(not line or line.startswith("#") for line in lines)


# --- aliases --------------------------------------------------------------------------------------------------------


def _aliases(root: Node, cuts: list[_Edit]) -> list[_Edit] | None:
    """The replacements of the kept aliases whose anchors are cut away; None if they would be too long."""
    kept = [one for one in root.within if one.target is not None and not any(cut.contains(one) for cut in cuts)]
    found, left = list[_Edit](), yaml_text.LONGEST_TEXT
    for one in kept:
        if any(cut.contains(one.meant) for cut in cuts):
            written = yaml_nodes.in_flow(one, left)
            if written is None:
                return None
            found.append(_Edit(one.start, one.end, written))
            left -= len(written)
    return found


def _applied(text: str, edits: list[_Edit]) -> str:
    for edit in sorted(edits, key=lambda one: one.start, reverse=True):
        text = text[:edit.start] + edit.text + text[edit.end:]
    return text
