"""Reading untrusted YAML: one document of plain values, within limits, in about 100 ms at most.

The text is first checked as a stream of events, which needs no memory and stops at the first limit. Only then it is
composed (in C, by recursion, so its depth must be known before) and constructed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import yaml

from agentex_operator.core import byte_order_mark, guard, quoting, yaml_readers
from agentex_operator.core.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentex_operator.core.reasons import Reason

LONGEST_TEXT: Final = 1024 * 1024       # bytes of UTF-8
DEEPEST: Final = 50                     # levels of maps and lists
MOST_NODES: Final = 10_000              # as written; the slowest part, as Python checks each node
MOST_NODES_EXPANDED: Final = 50_000     # with every alias replaced by its target
LONGEST_NUMBER: Final = 64              # characters; parsing YAML 1.1's base 60 takes the square of it
PLAIN_TAGS: Final = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null",
                                                                      "seq", "map"))
_DIGITS: Final = "0123456789:_.+-"
_NUMBERS: Final = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})
_MERGE: Final = "tag:yaml.org,2002:merge"
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Mark(Protocol):
    @property
    def line(self) -> int: ...


@dataclass(frozen=True, slots=True)
class _Line:
    line: int


class _Loader(Protocol):
    def construct_document(self, node: yaml.Node) -> object: ...


def load(text: str, reason: Reason, name: str) -> object:
    """The value of a YAML text; `name` is its name in messages, for example `manifest.yaml`.

    Raises InvalidInput(reason) for any text that is not one document of plain values within the limits above; the
    message has the line of the problem if it is known.
    """
    with guard.raising(lambda error: InvalidInput(reason, f"{name} {_described(error)}.")):
        return _load(text)


class RefusedError(Exception):
    """The text exceeds a limit, or uses a feature that plain YAML does not need; `place`: where, or the line from 1."""

    def __init__(self, message: str, place: yaml.Event | yaml.Node | int | None = None) -> None:
        super().__init__(message)
        self.mark: _Mark | None = _Line(place - 1) if isinstance(place, int) else getattr(place, "start_mark", None)


def _load(text: str) -> object:
    if "\0" in text:
        raise RefusedError("it contains a NUL character")
    if len(text.encode()) > LONGEST_TEXT:
        raise RefusedError(f"it is larger than {LONGEST_TEXT:,} bytes")
    text = byte_order_mark.without_mark(text)
    _check_events(text)
    loader = _LOADER(text)
    try:
        node = loader.get_single_node()
        _check_nodes(node)
        return None if node is None else _constructed(loader, node)
    finally:
        loader.dispose()


def _constructed(loader: _Loader, root: yaml.Node) -> object:
    with guard.raising(lambda error: _refused_value(root) or error):
        return loader.construct_document(root)


# --- the walk over events -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _NodeCounter:
    """The counts so far. `anchors`: the expanded size of each closed anchor; None while it is open."""

    documents: int = 0
    nodes: int = 0
    sizes: list[int] = field(default_factory=lambda: [0])
    names: list[str | None] = field(default_factory=lambda: [None])
    anchors: dict[str, int | None] = field(default_factory=dict)

    def add_event(self, event: yaml.Event) -> None:
        """Count one event. Raises RefusedError at a limit."""
        match event:
            case yaml.DocumentStartEvent():
                self._begin_document(event)
            case yaml.AliasEvent():
                self._add(self._expanded(event), event)
            case yaml.ScalarEvent():
                self._check_node(event)
                _check_digits(event)
                self._add(1, event)
                self._finish(event.anchor, 1)
            case yaml.CollectionStartEvent():
                self._check_node(event)
                self._enter(event)
            case yaml.CollectionEndEvent():
                self._leave(event)
            case _:
                pass

    def _begin_document(self, event: yaml.Event) -> None:
        self.documents += 1
        if self.documents > 1:
            raise RefusedError("it has more than one document; keep one", event)

    def _expanded(self, event: yaml.AliasEvent) -> int:
        size = self.anchors.get(event.anchor or "", 1)  # an unknown anchor is an error of the composer
        if size is None:
            raise RefusedError("an alias stands for something that contains it", event)
        return size

    def _check_node(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise RefusedError(f"it has more than {MOST_NODES:,} values", event)
        if event.tag is not None and event.tag not in PLAIN_TAGS:
            raise RefusedError("it uses a tag; only plain values are allowed", event)

    def _enter(self, event: yaml.CollectionStartEvent) -> None:
        if len(self.sizes) > DEEPEST:
            raise RefusedError(f"it is nested more than {DEEPEST} levels deep", event)
        self.sizes.append(0)
        self.names.append(event.anchor)
        if event.anchor:
            self.anchors[event.anchor] = None

    def _leave(self, event: yaml.CollectionEndEvent) -> None:
        size, name = self.sizes.pop() + 1, self.names.pop()
        self._add(size, event)
        self._finish(name, size)

    def _finish(self, anchor: str | None, size: int) -> None:
        if anchor:
            self.anchors[anchor] = size

    def _add(self, size: int, event: yaml.Event) -> None:
        self.sizes[-1] += size
        if self.sizes[-1] > MOST_NODES_EXPANDED:
            raise RefusedError(f"its aliases expand to more than {MOST_NODES_EXPANDED:,} values", event)


def _check_digits(event: yaml.ScalarEvent) -> None:
    """Raise RefusedError for a very long number, before the composer parses it: base 60 takes time squared."""
    if event.implicit[0] and len(event.value) > 64 * LONGEST_NUMBER and not event.value.strip(_DIGITS):
        raise RefusedError("it has a number of too many digits", event)


def _check_events(text: str) -> None:
    if mark := yaml_readers.mark_in(text):
        raise RefusedError(*mark)
    counter, events = _NodeCounter(), list[yaml.Event]()
    for event in yaml.parse(text, Loader=_LOADER):
        counter.add_event(event)
        events.append(event)
    if found := yaml_readers.difference(text, events):
        raise RefusedError(*found)


# --- the check of the composed nodes --------------------------------------------------------------------------------


def _check_nodes(root: yaml.Node | None) -> None:
    """Raise RefusedError for a key used twice, a key that is no scalar, or a number of too many digits."""
    for node in () if root is None else _nodes(root):
        _check_composed(node)


def _nodes(root: yaml.Node) -> Iterator[yaml.Node]:
    """Each node of a document once, although aliases lead to the same node."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            waiting.extend(_children(node))


def _check_composed(node: yaml.Node) -> None:
    if isinstance(node, yaml.ScalarNode) and node.tag in _NUMBERS and len(node.value) > LONGEST_NUMBER:
        raise RefusedError("it has a number of too many digits", node)
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)


def _check_keys(node: yaml.MappingNode) -> None:
    seen: set[tuple[str, str]] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise RefusedError("a key is a map or a list", key)
        if (key.tag, key.value) in seen and key.tag != _MERGE:
            raise RefusedError(f"the key {key.value[:60]!r} occurs twice in one map; remove one", key)
        seen.add((key.tag, key.value))


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair


# --- the value that cannot be constructed ---------------------------------------------------------------------------


def _refused_value(root: yaml.Node) -> RefusedError | None:
    """The error for the first value whose text does not fit its tag, such as `!!int ''`; None where each one fits."""
    misfit = next((node for node in _nodes(root) if isinstance(node, yaml.ScalarNode) and not _fits(node)), None)
    if misfit is None:
        return None
    return RefusedError(f"the value there cannot be read as {_kind(misfit)}; correct it, or put it in quotes "
                        "without a tag", misfit)


def _fits(node: yaml.ScalarNode) -> bool:
    """Whether the library can construct the value; a loader of its own, as a failed one keeps its state."""
    loader = _LOADER("")
    try:
        return not isinstance(guard.result(loader.construct_object, node), Exception)
    finally:
        loader.dispose()


def _kind(node: yaml.Node) -> str:
    """What the tag stands for, in a word: `int`, `float`, `bool`, `timestamp`."""
    return quoting.plain(node.tag.rpartition(":")[2])[:40]


# --- messages -------------------------------------------------------------------------------------------------------


def _described(error: Exception) -> str:
    """What is wrong with the text, with the line if it is known, and without a copy of the text."""
    match error:
        case RefusedError():
            return f"cannot be read{_at(error.mark)}: {error}"
        case yaml.YAMLError():
            return f"is not valid YAML{_at(_mark(error))}: {_problem(error)}"
        case UnicodeError():
            return "cannot be read: it has a character that UTF-8 cannot express; remove it"
        case _:
            return "cannot be read: it has a value that YAML cannot express; put it in quotes"


def _at(mark: _Mark | None) -> str:
    return f" (line {mark.line + 1})" if mark is not None else ""


def _mark(error: yaml.YAMLError) -> _Mark | None:
    return getattr(error, "problem_mark", None)


def _problem(error: yaml.YAMLError) -> str:
    """The problem that the parser reports, without a copy of the text."""
    if str(getattr(error, "context", None)).startswith("found duplicate anchor"):
        return "an anchor of this name was set before; rename one of them"
    return str(getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be parsed")[:160]
