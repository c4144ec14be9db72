"""Lists: filters, order, cursors and pages (agentex-api.md section 1.3)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from agentex_simulator.errors import RejectedError, broken_rule, invalid
from agentex_simulator.shelf import R, Shelf

DEFAULT_LIMIT = 100
MAX_LIMIT = 10_000
SORTABLE = frozenset({"created_at"})  # unknown in the docs: chosen because it is the one name clients need


@dataclass
class View:
    """How a scripted fault bends what a list shows; the default bends nothing.

    - `min_age`: seconds before a record appears; `hidden`: ids left out, None hides all; `overlap`: how many items
      of the page before are repeated, or left out where it is negative.
    - `page_size`: the most a page has, 0 for no such limit; `endless`: a cursor that nobody knows begins anew.
    """

    min_age: float = 0
    hidden: frozenset[str] | None = frozenset()
    ignore_filters: bool = False
    overlap: int = 0
    page_size: int = 0
    endless: bool = False

    def shows(self, record_id: str, age: timedelta) -> bool:
        """Whether a record that exists is listed."""
        return self.hidden is not None and record_id not in self.hidden and age.total_seconds() >= self.min_age


@dataclass(frozen=True)
class PageQuery:
    """A validated list request."""

    limit: int = DEFAULT_LIMIT
    ascending: bool = True
    starting_after: str | None = None
    ending_before: str | None = None
    filters: Mapping[str, str] = field(default_factory=dict)

    @property
    def cursor(self) -> str | None:
        """The id the page starts from."""
        return self.ending_before or self.starting_after

    @property
    def step(self) -> int:
        """Direction of the walk over the oldest-first order; `ending_before` walks away from the list's order."""
        return 1 if self.ascending != bool(self.ending_before) else -1


def page_query(query: Mapping[str, str], filters: Iterable[str]) -> PageQuery:
    """Read the query; 422 for a limit outside 1..10000 or unknown sorting, 400 for two cursors.

    Ascending is the default order (agentex-api.md section 1.3, older spec); an empty value counts as not sent.
    """
    if query.get("sort_by", "created_at") not in SORTABLE:
        raise invalid("query", "sort_by", "Input should be 'created_at'", "literal_error")
    if query.get("sort_order", "asc") not in {"asc", "desc"}:
        raise invalid("query", "sort_order", "Input should be 'asc' or 'desc'", "literal_error")
    if query.get("starting_after") and query.get("ending_before"):
        raise broken_rule("only one of starting_after and ending_before may be given")
    return PageQuery(
        limit_of(query, DEFAULT_LIMIT, MAX_LIMIT),
        query.get("sort_order", "asc") == "asc",
        query.get("starting_after") or None,
        query.get("ending_before") or None,
        {name: query[name] for name in filters if query.get(name)},
    )


def limit_of(query: Mapping[str, str], default: int, most: int) -> int:
    """The `limit` of a query; 422 unless 1..most."""
    text = query.get("limit", str(default))
    if not text.isascii() or not text.isdigit():
        raise invalid("query", "limit", "Input should be a valid integer", "int_parsing")
    if not 1 <= int(text) <= most:
        raise invalid("query", "limit", f"Input should be between 1 and {most}", "out_of_range")
    return int(text)


def page(shelf: Shelf[R], query: PageQuery, view: View, now: datetime) -> bytes:
    """The page as JSON, {"items": [...], "has_more": bool}; 400 for a cursor the account never had."""
    if view.page_size:
        query = replace(query, limit=min(query.limit, view.page_size))
    found = _walk(shelf, query, view, _visible(query, view, now))
    chosen = found[: query.limit]
    if query.ending_before:
        chosen.reverse()
    has_more = b"true" if len(found) > query.limit else b"false"
    return b'{"items": [' + b", ".join(map(shelf.encoded, chosen)) + b'], "has_more": ' + has_more + b"}"


def _visible(query: PageQuery, view: View, now: datetime) -> Callable[[R], bool]:
    filters = () if view.ignore_filters else tuple(query.filters.items())
    bent = view != View()

    def visible(record: R) -> bool:
        if record.archived or (bent and not view.shows(record.id, now - record.created_at)):
            return False
        return all(getattr(record, name) == wanted for name, wanted in filters)

    return visible


def _walk(shelf: Shelf[R], query: PageQuery, view: View, visible: Callable[[R], bool]) -> list[str]:
    found: list[str] = []
    index = _start(shelf, query, view)
    while 0 <= index < len(shelf.order) and len(found) <= query.limit:
        record = shelf.get(shelf.order[index])
        if record is not None and visible(record):
            found.append(record.id)
        index += query.step
    return found


def _start(shelf: Shelf[R], query: PageQuery, view: View) -> int:
    if query.cursor is None:
        return 0 if query.step == 1 else len(shelf.order) - 1
    position = shelf.position(query.cursor)
    if position is None and view.endless:
        return _start(shelf, replace(query, starting_after=None, ending_before=None), view)
    if position is None:
        raise RejectedError(400, f"cursor {query.cursor} is not known")
    start = position + query.step * (1 - view.overlap)
    return min(max(start, 0), len(shelf.order) - 1) if view.overlap else start
