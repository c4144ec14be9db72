"""The course one call takes, as the faults that fire on it have bent it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from agentex_simulator.paging import View
from agentex_simulator.replies import Reply

Rewrite = Callable[[Any], Any]
Drop = Literal["rst", "fin"]


@dataclass
class Manner:
    """How the bytes of an answer go out. Seconds are real.

    - `keep`: share of the body that is sent; `length_delta`: added to the true Content-Length.
    - `header_delay`: seconds before the first byte; `chunk` bytes every `chunk_delay` seconds, headers included.
    - `cut_after`: server-sent events before the connection is cut; `frame_delay`: seconds before each.
    """

    keep: float = 1
    length_delta: int = 0
    header_delay: float = 0
    chunk: int = 0
    chunk_delay: float = 0
    cut_after: int | None = None
    frame_delay: float = 0


@dataclass
class Course:
    """The default bends nothing: read, commit, answer.

    - `refusal` answers before anything is read or committed; `unread_drop` cuts the connection there.
    - `retry_until`: seconds from now that a refusal's Retry-After names as a date.
    - `half_drop` cuts it in the middle of the request, `read_drop` after it; with nothing committed.
    - `commit_delay`: seconds between reading and committing; `leave_at_once` cuts the connection before them.
    - `without_effect` answers a cancel as usual and does nothing.
    - `answer_drop` cuts it after the commit; `answer` replaces the true answer after the commit.
    - `rewrites` bend the JSON of a successful answer.
    """

    names: list[str] = field(default_factory=list)
    refusal: Reply | None = None
    unread_drop: Drop | None = None
    retry_until: float | None = None
    half_drop: Drop | None = None
    read_drop: Drop | None = None
    commit_delay: float = 0
    leave_at_once: Drop | None = None
    without_effect: bool = False
    answer_drop: Drop | None = None
    answer: Reply | None = None
    rewrites: list[Rewrite] = field(default_factory=list)
    view: View = field(default_factory=View)
    manner: Manner = field(default_factory=Manner)
