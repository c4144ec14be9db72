"""The counts of an account over listings of different depths, beside the records that the last of them showed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from hypothesis import given
from hypothesis import strategies as st

from agentex_operator.agentex.counts import CountsOfAccount, Tally
from agentex_operator.agentex.record_kind import RecordKind
from agentex_operator.agentex.wire import UNDATED
from agentex_operator.core.remote import RemoteState

T0 = datetime(2026, 11, 24, 12, tzinfo=UTC)
STATES = (RemoteState.WAITING, RemoteState.RUNNING, RemoteState.SUCCEEDED)


@dataclass(frozen=True)
class ToyRecord:
    """A remote object of a kind that only this test has."""

    id: str
    state: RemoteState
    created_at: datetime
    label: str
    raw_status: str = "toy"


async def never(*_: object) -> NoReturn:
    raise AssertionError("no page is read here")


TOYS: RecordKind[ToyRecord] = RecordKind(never, lambda _: None, groups_of=lambda toy: (toy.label,))


def at(second: int) -> datetime:
    return T0 + timedelta(seconds=second)


def listed(counts: CountsOfAccount, records: list[ToyRecord], back_to: datetime | None) -> None:
    """Apply a listing of these records that shows one older record besides, as a page does."""
    since = [one for one in records if back_to is None or one.created_at >= back_to]
    older = [one for one in records if one not in since]
    tally = Tally(TOYS)
    tally.add([*since[::-1], *older[-1:]])
    counts.apply_listing(back_to, tally)


# One life: at each second a record is created (or not), some change their state, some go, and a listing is read.
LIVES = st.lists(st.tuples(
    st.sampled_from(("none", "red", "blue")),                         # the label of a new record
    st.dictionaries(st.integers(0, 20), st.sampled_from(STATES)),     # new states, by the age of the record in seconds
    st.sets(st.integers(0, 20), max_size=2),                          # the ages of those that go
    st.one_of(st.none(), st.integers(0, 20)),                         # how far back the listing goes; None: all
), max_size=20)


@given(LIVES)
def test_each_listing_replaces_what_was_counted_since_the_moment_it_goes_back_to(life: list[tuple[
        str, dict[int, RemoteState], set[int], int | None]]) -> None:
    counts, records, shown = CountsOfAccount(), dict[int, ToyRecord](), dict[int, ToyRecord]()

    for now, (label, changes, gone, depth) in enumerate(life):
        if label != "none":
            records[now] = ToyRecord(f"t{now}", RemoteState.WAITING, at(now), label)
        for age, state in changes.items():
            if now - age in records:
                records[now - age] = ToyRecord(f"t{now - age}", state, at(now - age), records[now - age].label)
        for age in gone:
            records.pop(now - age, None)
        first = 0 if depth is None else now - depth
        listed(counts, list(records.values()), None if depth is None else at(first))
        shown = {second: one for second, one in shown.items() if second < first}
        shown |= {second: one for second, one in records.items() if second >= first}

        assert counts.counts is not None
        for state in STATES:
            assert counts.counts.of(state) == sum(one.state is state for one in shown.values())
        for label_ in ("red", "blue"):
            assert counts.counts.in_group(label_) == sum(one.label == label_ for one in shown.values())


def test_there_are_no_counts_before_the_first_listing() -> None:
    assert CountsOfAccount().counts is None


def test_the_end_of_a_build_is_counted_by_a_listing_that_goes_back_to_it_alone() -> None:
    counts, old = CountsOfAccount(), [ToyRecord(f"t{n}", RemoteState.SUCCEEDED, at(n), "red") for n in range(9)]
    listed(counts, [*old, ToyRecord("t9", RemoteState.RUNNING, at(9), "red")], None)

    listed(counts, [*old, ToyRecord("t9", RemoteState.SUCCEEDED, at(9), "red")], at(9))

    assert counts.counts is not None
    assert (counts.counts.of(RemoteState.SUCCEEDED), counts.counts.of(RemoteState.RUNNING)) == (10, 0)


def test_a_record_without_a_date_is_counted_once() -> None:
    counts, undated = CountsOfAccount(), ToyRecord("t0", RemoteState.RUNNING, UNDATED, "red")
    listed(counts, [undated], None)

    listed(counts, [undated, ToyRecord("t1", RemoteState.RUNNING, at(1), "red")], at(1))

    assert counts.counts is not None
    assert counts.counts.of(RemoteState.RUNNING) == 2
