"""RemoteKind: one kind of remote object as a value: how to read, list, attribute, count and remove its objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

from agentex_operator.core.remote import Record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentex_operator.agentex.client import AgentexClient
    from agentex_operator.agentex.record_kind import RecordKind


@dataclass(frozen=True, slots=True, eq=False)
class RemoteKind(Generic[Record]):
    """The calls and the records of one kind of remote object; equal only to itself.

    `noun`: one object of the kind, for logs. `records`: how the records of a client's account are listed, attributed to
    owners and counted. `get` answers None for a 404; `remove` cancels where `cancels` is True, and deletes otherwise.
    Both raise the errors of the client. Which records are alive is decided by the kind's `Observed`.
    """

    noun: str
    records: Callable[[AgentexClient], RecordKind[Record]]
    get: Callable[[AgentexClient, str], Awaitable[Record | None]]
    remove: Callable[[AgentexClient, str], Awaitable[None]]
    cancels: bool = False
