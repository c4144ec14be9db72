"""A chart is a well-formed SVG document, and every point of it is inside the drawing."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from benchmarks.svg import HEIGHT, WIDTH, Chart, Series, drawn, ticks
from hypothesis import given
from hypothesis import strategies as st

SVG = "{http://www.w3.org/2000/svg}"
points = st.lists(st.tuples(st.floats(1, 1e5), st.floats(0, 1e7)), min_size=1, max_size=20)


@given(st.floats(1e-6, 1e9))
def test_ticks_begin_at_zero_and_reach_the_greatest_value(most: float) -> None:
    found = ticks(most)

    assert found[0] == 0
    assert found[-2] < most * 1.000001
    assert found[-1] >= most * 0.999999
    assert len(found) <= 7


@given(lines=st.lists(points, min_size=1, max_size=4), log_x=st.booleans())
def test_every_point_is_inside_the_drawing(lines: list[list[tuple[float, float]]], *, log_x: bool) -> None:
    series = [Series(f"line {number}", line) for number, line in enumerate(lines)]

    root = ElementTree.fromstring(drawn(Chart("Title", "x", "y", series, log_x=log_x)))  # noqa: S314 - our own document

    dots = [(float(one.get("cx", "nan")), float(one.get("cy", "nan"))) for one in root.iter(f"{SVG}circle")]
    assert len(dots) == sum(map(len, lines))
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in dots)


@given(st.text(alphabet=st.characters(exclude_categories=["C"])))
def test_any_words_can_be_shown(words: str) -> None:
    text = drawn(Chart(words, words, words, [Series(words, [(1, 1)])]))

    shown = [one.text or "" for one in ElementTree.fromstring(text).iter(f"{SVG}text")]  # noqa: S314 - our own document
    assert shown.count(words) >= 4


def test_a_greater_value_is_drawn_higher_and_further_right() -> None:
    text = drawn(Chart("Title", "x", "y", [Series("line", [(200, 1), (1000, 5), (10_000, 20)])], log_x=True))

    dots = [(float(x), float(y)) for x, y in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', text)]
    assert sorted(dots, key=lambda dot: dot[0]) == dots
    assert sorted(dots, key=lambda dot: -dot[1]) == dots


def test_a_chart_without_points_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to draw in 'Title'"):
        drawn(Chart("Title", "x", "y", [Series("line", [])]))
