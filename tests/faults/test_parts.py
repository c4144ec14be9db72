"""Every batch is in exactly one part, and the parts take about the same time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.faults.programme.batches import SECONDS, Batch, in_order
from tests.faults.programme.families import families
from tests.faults.programme.parts import Part, partition

FAMILIES = [name for name in SECONDS if name not in ("learn", "remote")]
batch = st.builds(lambda family, plans: Batch(family, tuple(f"{family}/{one}" for one in plans)),
                  st.sampled_from(FAMILIES), st.sets(st.integers(0, 999), min_size=1, max_size=50))
some_batches = st.lists(batch, max_size=60, unique=True)


@given(some_batches, st.integers(1, 9))
def test_every_batch_is_in_exactly_one_part(batches: list[Batch], parts: int) -> None:
    found = [one for part in partition(batches, parts) for one in part]

    assert len(found) == len(batches)
    assert set(found) == set(batches)


@given(some_batches, st.integers(1, 9), st.randoms())
def test_the_parts_do_not_depend_on_the_order_of_the_batches(batches: list[Batch], parts: int, dice: object) -> None:
    shuffled = sorted(batches, key=lambda _: dice.random())  # type: ignore[attr-defined]

    assert partition(shuffled, parts) == partition(batches, parts)


@given(some_batches, st.integers(1, 9))
def test_no_part_is_longer_than_another_by_more_than_one_batch(batches: list[Batch], parts: int) -> None:
    lengths = [sum(one.seconds for one in part) for part in partition(batches, parts)]

    assert max(lengths) - min(lengths) <= max((one.seconds for one in batches), default=0) + 1e-6


@given(some_batches, st.integers(1, 12))
def test_the_order_of_a_run_has_every_batch(batches: list[Batch], workers: int) -> None:
    assert sorted(in_order(batches, workers), key=lambda one: one.key) == sorted(batches, key=lambda one: one.key)


def test_every_family_has_an_expected_length() -> None:
    assert set(families({})) | {"learn"} == set(SECONDS)


@pytest.mark.parametrize(("text", "part"), [("1/1", Part(1, 1)), ("2/3", Part(2, 3)), ("10/12", Part(10, 12))])
def test_a_part_is_written_as_k_of_n(text: str, part: Part) -> None:
    assert Part.parse(text) == part
    assert str(part) == text


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "a/b", " 1/2"])
def test_anything_else_is_no_part(text: str) -> None:
    with pytest.raises(ValueError, match="write k/n"):
        Part.parse(text)
