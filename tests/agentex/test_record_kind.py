"""The inventory serves a kind of record that the operator does not know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.agentex.conftest import LONG_AGO

from agentex_operator.agentex.inventory import Inventory
from agentex_operator.agentex.record_kind import AgentName, RecordKind
from agentex_operator.agentex.watch_request import WatchRequest
from agentex_operator.agentex.wire import Page
from agentex_operator.core.remote import RemoteState
from agentex_testkit.clocks import HandClock


@dataclass(frozen=True)
class ToyRecord:
    """A remote object of a kind that only this test has."""

    id: str
    state: RemoteState
    created_at: datetime
    raw_status: str = "toy"
    label: str = ""


async def test_a_kind_that_is_given_as_a_value_is_listed_attributed_and_counted(clock: HandClock) -> None:
    toys = tuple(ToyRecord(f"t{n}", state, LONG_AGO + timedelta(seconds=n), label=label) for n, (state, label) in
                 enumerate([(RemoteState.RUNNING, "red"), (RemoteState.FAILED, "blue"), (RemoteState.RUNNING, "blue")]))

    async def fetch_page(_limit: int, _after: str | None, _ordered: bool) -> Page[ToyRecord]:
        return Page(toys[::-1], has_more=False, last_id=toys[0].id, length=len(toys))

    kind: RecordKind[ToyRecord] = RecordKind(
        fetch_page, lambda toy: f"owner of {toy.label}", groups_of=lambda toy: (toy.label,),
        agent_of=lambda toy: AgentName(f"agent {toy.label}", toy.id))
    woken: list[str] = []
    inventory = Inventory(kind, clock, lambda: 0.5, woken.append)
    request = WatchRequest("owner of blue", frozenset({"t0"}), LONG_AGO, timedelta(seconds=5))

    shown = await inventory.find(request, fresh_since=None)

    assert shown.records == toys
    assert (counts := inventory.counts()) is not None
    assert (counts.of(RemoteState.RUNNING), counts.of(RemoteState.FAILED)) == (2, 1)
    assert (counts.in_group("red"), counts.in_group("blue")) == (1, 2)
    assert inventory.agent_id("agent blue") == "t2"
