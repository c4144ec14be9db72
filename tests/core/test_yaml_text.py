"""YAML from strangers: plain values within limits, or one sentence with the line; never slow, never more."""

from __future__ import annotations

import contextlib
import gc
import time
import tracemalloc

import pytest
from tests.core.hostile_yaml import HOSTILE, MEGABYTE

from agentex_operator.core import reasons, yaml_text
from agentex_operator.core.errors import InvalidInput


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_refused_in_one_short_printable_sentence(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        yaml_text.load(text, reasons.INVALID_MANIFEST, "manifest.yaml")

    message = caught.value.message
    assert (caught.value.reason, message.startswith("manifest.yaml "), len(message) < 300, message.isprintable()) == (
        "InvalidManifest", True, True, True)


@pytest.mark.exhaustive
def test_a_megabyte_of_anything_is_read_or_refused_in_a_tenth_of_a_second() -> None:
    fine = {"one scalar": "a" * (MEGABYTE - 10), "comments": "#" * MEGABYTE, "lines": "\n" * MEGABYTE,
            "folded": ">\n" + " a\n" * 340_000, "escapes": '"' + "\\u0041" * 170_000 + '"',
            "keys": "\n".join(f"k{n}: v" for n in range(4_900)),
            "anchors": "".join(f"- &a{n} x\n" for n in range(9_900))}

    times = {name: _seconds(text) for name, text in (HOSTILE | fine).items()}

    assert {name: took for name, took in times.items() if took > 0.3} == {}  # 0.1 on an idle machine


def _seconds(text: str) -> float:
    """The CPU time of the faster of two reads, without that of collecting what other tests have left in memory."""
    best = float("inf")
    gc.freeze()
    for _ in range(2):
        began = time.thread_time()
        with contextlib.suppress(InvalidInput):
            yaml_text.load(text, reasons.INVALID_MANIFEST, "")
        best = min(best, time.thread_time() - began)
    gc.unfreeze()
    return best


def test_a_number_in_base_60_is_not_looked_at_for_long_enough_to_cost_memory() -> None:
    tracemalloc.start()
    with pytest.raises(InvalidInput, match="too many digits"):
        yaml_text.load(HOSTILE["a number in base 60"], reasons.INVALID_MANIFEST, "")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 20 * MEGABYTE


@pytest.mark.parametrize(("text", "line"), [("a: 1\nb: [\n", 3), ("a: 1\n\na: 2", 3), ("a: 1\n---\nb: 1", 2),
                                            ("- a\n- !x b", 2)])
def test_the_line_is_named(text: str, line: int) -> None:
    with pytest.raises(InvalidInput, match=rf"\(line {line}\)"):
        yaml_text.load(text, reasons.INVALID_MANIFEST, "f")


@pytest.mark.parametrize(("text", "value"), [
    ("", None), ("# only this", None), ("a: 1.10", {"a": 1.1}), ("a: '1.10'", {"a": "1.10"}),
    ("--- {a: [1, b]}", {"a": [1, "b"]}),
    ("a: !!str 1", {"a": "1"}), ("b: &b {x: 1}\nc: [*b, *b]", {"b": {"x": 1}, "c": [{"x": 1}] * 2}),
    ("b: &b {x: 1, y: 1}\nc: &c {<<: *b, x: 2}\nd: {<<: *c, x: 3}",
     {"b": {"x": 1, "y": 1}, "c": {"x": 2, "y": 1}, "d": {"x": 3, "y": 1}}),
    ("a: |\n  x\n  y\n", {"a": "x\ny\n"}), ("a: aé ☃", {"a": "aé ☃"}), ("\ufeffa: 1", {"a": 1}),
])
def test_plain_values_are_read_as_they_are(text: str, value: object) -> None:
    assert yaml_text.load(text, reasons.INVALID_MANIFEST, "") == value
