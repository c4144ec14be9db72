"""The nodes of a YAML text with their places in the text, so that a part can be cut out of it as it was written.

Only for a text that `yaml_text.load` has read: its limits bound the depth and the number of nodes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NOT_IN_FLOW: Final = re.compile(r"^:|[?,\[\]{}\n\x85\u2028\u2029]")
_NOT_IN_JSON: Final = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff]")  # raw in JSON, to be escaped in YAML


@dataclass(slots=True, eq=False)
class Node:
    """A node as written: text[start:end], with its anchor and tag; a block map or list ends where the next node starts.

    `items`: of a list its values, of a map its keys and values in turn. `target`: of an alias the node it stands for.
    """

    event: yaml.NodeEvent
    start: int
    end: int
    items: list[Node] = field(default_factory=list)
    target: Node | None = None

    @property
    def meant(self) -> Node:
        """The node itself, or the node that an alias stands for."""
        return self.target or self

    @property
    def pairs(self) -> list[tuple[Node, Node]]:
        """The keys and values of a map; empty for any other node."""
        is_map = isinstance(self.event, yaml.MappingStartEvent)
        return list(zip(self.items[::2], self.items[1::2], strict=True)) if is_map else []

    @property
    def is_block(self) -> bool:
        """Whether it is a map or a list in block style, whose `end` is not the end of its content."""
        return isinstance(self.event, yaml.CollectionStartEvent) and not self.event.flow_style

    @property
    def content_end(self) -> int:
        """Where the last character of its content ends."""
        return max((one.content_end for one in self.items), default=self.start) if self.is_block else self.end

    @property
    def within(self) -> Iterator[Node]:
        """The node and all nodes below it, in the order of the text; the targets of aliases are not entered."""
        yield self
        for one in self.items:
            yield from one.within


def root_of(text: str) -> Node:
    """The root node of a text that `yaml_text.load` has read."""
    top: list[Node] = []
    opened: list[Node] = []
    anchors: dict[str | None, Node] = {}
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.NodeEvent):
            node = _node(event, anchors)
            (opened[-1].items if opened else top).append(node)
            opened += [node] if isinstance(event, yaml.CollectionStartEvent) else []
        elif isinstance(event, yaml.CollectionEndEvent):
            opened.pop().end = _place(event)[1]
    return top[0]


def _node(event: yaml.NodeEvent, anchors: dict[str | None, Node]) -> Node:
    node = Node(event, *_place(event))
    if isinstance(event, yaml.AliasEvent):
        node.target = anchors[event.anchor]
    elif event.anchor is not None:
        anchors[event.anchor] = node
    return node


def _place(event: yaml.Event) -> tuple[int, int]:
    """Where the event starts and ends, in characters; the parser marks both for every event."""
    assert event.start_mark is not None, "an event without its start"  # noqa: S101 - the parser sets it
    assert event.end_mark is not None, "an event without its end"  # noqa: S101 - the parser sets it
    return event.start_mark.index, event.end_mark.index


def in_flow(node: Node, longest: int) -> str | None:
    """The node on one line, in flow style, with its aliases replaced; None for more than `longest` characters.

    Each scalar keeps its type for a reader of any YAML version: what was plain stays plain, what was quoted is quoted.
    """
    written: list[str] = []
    waiting: list[Node | str] = [node]  # the next one last
    while waiting and longest >= 0:
        part = waiting.pop()
        if isinstance(part, Node):
            waiting += reversed(_flow_parts(part.meant))
        else:
            written.append(part)
            longest -= len(part)
    return "".join(written) if longest >= 0 else None


def _flow_parts(node: Node) -> list[Node | str]:
    """The node as pieces of text, and the nodes in it."""
    tag = getattr(node.event, "tag", None)
    before: list[Node | str] = [] if tag is None else [f"!<{tag}> "]
    match node.event:
        case yaml.ScalarEvent():
            return [*before, _scalar(node.event)]
        case yaml.SequenceStartEvent():
            return [*before, "[", *_separated(node.items, (", ",)), "]"]
        case _:
            return [*before, "{", *_separated(node.items, (", ", ": ")), "}"]


def _separated(items: list[Node], separators: tuple[str, ...]) -> Iterator[Node | str]:
    for position, one in enumerate(items):
        if position:
            yield separators[position % len(separators)]
        yield one


def _scalar(event: yaml.ScalarEvent) -> str:
    value: str = event.value
    if event.style or _NOT_IN_FLOW.search(value):
        return quoted(value)
    return value or ("null" if event.tag is None else '""')


def quoted(value: str) -> str:
    """The text as a double-quoted scalar on one line."""
    return _NOT_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
