"""A line chart as SVG, made with the standard library."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Point = tuple[float, float]

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 64, 48  # margins
COLOURS = ("#1f5fbf", "#c2571a", "#6fa3e8", "#eba477")
INK, PALE = "#222222", "#dddddd"
STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Series:
    """A line with its name in the legend; `marked`: whether each point has a dot."""

    name: str
    points: Sequence[Point]
    marked: bool = True


@dataclass(frozen=True)
class Chart:
    """The lines and the words of a chart. The y axis begins at 0; `log_x`: whether the x axis is logarithmic."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    log_x: bool = False


def ticks(most: float, count: int = 5) -> list[float]:
    """Round numbers from 0 to the first one that is not less than `most`, about `count` steps."""
    if most <= 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(most / count))
    step = next(one * power for one in STEPS if one * power * count >= most * 0.999999)
    return [number * step for number in range(math.ceil(most / step - 1e-9) + 1)]


def drawn(chart: Chart) -> str:
    """The chart as an SVG document. Raises ValueError if it has no point."""
    points = [point for one in chart.series for point in one.points]
    if not points:
        message = f"nothing to draw in {chart.title!r}"
        raise ValueError(message)
    frame = _Frame.of(points, log_x=chart.log_x)
    body = [_title(chart), *_y_axis(frame), *_x_axis(frame, points), _axis_labels(chart)]
    for number, one in enumerate(chart.series):
        body += _line(frame, one, COLOURS[number % len(COLOURS)])
    body += _legend(chart.series)
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            'font-family="sans-serif" font-size="12" role="img">')
    return "\n".join([head, f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>', *body, "</svg>"]) + "\n"


@dataclass(frozen=True)
class _Frame:
    """From values to places in the drawing."""

    low: float
    high: float
    y_ticks: tuple[float, ...]
    log_x: bool

    @staticmethod
    def of(points: Sequence[Point], *, log_x: bool) -> _Frame:
        scaled = [math.log10(x) if log_x else x for x, _ in points]
        low, high = min(scaled), max(scaled)
        if low == high:
            low, high = low - 0.5, high + 0.5
        return _Frame(low, high, tuple(ticks(max(y for _, y in points))), log_x)

    def x(self, value: float) -> float:
        scaled = math.log10(value) if self.log_x else value
        return LEFT + (WIDTH - LEFT - RIGHT) * (scaled - self.low) / (self.high - self.low)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self.y_ticks[-1]


def _title(chart: Chart) -> str:
    return _text(LEFT, 22, chart.title, size=15, anchor="start")


def _axis_labels(chart: Chart) -> str:
    across = _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, chart.x_label)
    middle = (TOP + HEIGHT - BOTTOM) / 2
    up = f'<g transform="rotate(-90 16 {middle:.1f})">{_text(16, middle, chart.y_label)}</g>'
    return across + up


def _y_axis(frame: _Frame) -> list[str]:
    return [f'<path d="M{LEFT} {frame.y(one):.1f}H{WIDTH - RIGHT}" stroke="{PALE}"/>'
            + _text(LEFT - 6, frame.y(one) + 4, f"{one:,.6g}", anchor="end") for one in frame.y_ticks]


def _x_axis(frame: _Frame, points: Sequence[Point]) -> list[str]:
    """The measured values, where there are few; else round numbers."""
    values = sorted({x for x, _ in points})
    if len(values) > 8:
        values = [one for one in ticks(max(values)) if min(values) <= one <= max(values)]
    return [_text(frame.x(one), HEIGHT - BOTTOM + 16, f"{one:,.6g}") for one in values]


def _line(frame: _Frame, series: Series, colour: str) -> list[str]:
    places = [(frame.x(x), frame.y(y)) for x, y in series.points]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in places] if series.marked else []
    return [f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>', *dots] if places else []


def _legend(series: Sequence[Series]) -> list[str]:
    width = (WIDTH - LEFT - RIGHT) / max(len(series), 1)
    return [_legend_entry(LEFT + number * width, one.name, COLOURS[number % len(COLOURS)])
            for number, one in enumerate(series)]


def _legend_entry(x: float, name: str, colour: str) -> str:
    return (f'<rect x="{x:.1f}" y="37" width="14" height="4" fill="{colour}"/>'
            + _text(x + 20, 43, name, anchor="start"))


def _text(x: float, y: float, words: str, *, size: int = 12, anchor: str = "middle") -> str:
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{INK}">'
            f"{escape(words)}</text>")
