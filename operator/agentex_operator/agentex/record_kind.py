"""What the inventory must be told about one kind of remote object: how to list, attribute and count its records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

from agentex_operator.core.remote import Record, RemoteRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agentex_operator.agentex.scan import FetchPage
    from agentex_operator.agentex.watch_request import RecordFilter
    from agentex_operator.agentex.wire import EchoedTexts


@dataclass(frozen=True, slots=True)
class AgentName:
    """The name of an agent that exists, and its id."""

    name: str
    id: str


def _without(_record: RemoteRecord) -> None:
    return None


def _no_groups(_record: RemoteRecord) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class RecordKind(Generic[Record]):
    """How the records of one kind are listed, attributed to resources, and counted.

    `fetch_page` reads one page of the list. `owner_of`: the resource that a record belongs to, as its token names it;
    None without a token. `fingerprint_of`: the digest of its configuration, where one was computed.
    `add_fingerprint` computes that digest from the texts that the server echoes; None: the kind has no fingerprints.
    `groups_of`: groups in which a record is counted besides its state. `agent_of`: the agent that a record proves to
    exist, or None.
    """

    fetch_page: FetchPage[Record]
    owner_of: Callable[[Record], str | None]
    fingerprint_of: Callable[[Record], str | None] = _without
    add_fingerprint: Callable[[Record, EchoedTexts], Record] | None = None
    groups_of: Callable[[Record], Iterable[str]] = _no_groups
    agent_of: Callable[[Record], AgentName | None] = _without

    def matches(self, record: Record, record_filter: RecordFilter) -> bool:
        """Whether the record passes the filter: by its owner, its id or its fingerprint."""
        return record_filter.passes(record.id, self.owner_of(record), self.fingerprint_of(record))
