"""YAML from strangers: plain values within limits, or one sentence with the line; never slow, never more."""

from __future__ import annotations

import contextlib
import time

import pytest

from agentex_operator.core import yaml_text
from agentex_operator.core.errors import InvalidInput

LAUGHS = "\n".join(["a0: &a0 [x,x,x,x,x,x,x,x,x]",
                    *(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10))])
MERGED_LAUGHS = "\n".join(["a0: &a0 {" + ",".join(f"k{n}: 1" for n in range(900)) + "}",
                           *(f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 9))])
MEGABYTE = 1024 * 1024

HOSTILE = {
    "a billion laughs": LAUGHS,
    "laughs by merging": MERGED_LAUGHS,
    "100,000 aliases": "a: &a x\nb: [" + "*a," * 100_000 + "]",
    "a list that contains itself": "&a [*a]",
    "a map that contains itself": "a: &a {b: *a}",
    "nesting in flow style": "[" * 10_000,
    "nesting of maps": "{a: " * 10_000,
    "nesting by dashes": "- " * 10_000,
    "nesting by indentation": "".join(" " * level + "a:\n" for level in range(1000)),
    "a million entries": "- a\n" * 250_000,
    "entries on one line": "[" + "a," * 500_000 + "]",
    "a python object": "!!python/object/apply:os.system [id]",
    "a python name": "a: !!python/name:os.system",
    "a tag of one's own": "a: !secret b",
    "an empty tag": "a: ! 1",
    "binary": "a: !!binary aGk=",
    "a set": "!!set {a, b}",
    "a key used twice": "a: 1\nb: 2\na: 3",
    "a key used twice deep down": "a: {b: {c: 1, c: 2}}",
    "a key used twice in quotes": "a: 1\n\"a\": 2",
    "a list as a key": "? [a]\n: b",
    "a map as a key": "? {a: 1}\n: b",
    "a NUL": "a: \"\0\"",
    "a bell": "a: \x07",
    "half a character": "a: \ud800",
    "two documents": "a: 1\n---\nb: 2",
    "300,000 documents": "---\n" * 250_000,
    "more than a megabyte": "a: " + "x" * MEGABYTE,
    "a megabyte in two-byte characters": "a: " + "é" * (MEGABYTE // 2),
    "a number of a million digits": "9" * 1_000_000,
    "a number of a million hex digits": "0x" + "f" * 1_000_000,
    "a number in base 60": ":".join(["1"] * 300_000),
    "a fraction of a million digits": "0." + "9" * 1_000_000,
    "a month 99": "a: 2024-99-99",
    "a zone of 99 hours": "a: 2024-01-01T00:00:00+99:99",
    "an alias of nothing": "a: *b",
    "a tab": "a:\n\t- b",
    "an open quote": "a: \"b",
    "an open quote of a megabyte": "a: \"" + "b" * 1_000_000,
    "a broken escape": 'a: "\\q"',
    "an equals sign": "a: =",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_refused_in_one_short_printable_sentence(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        yaml_text.load(text, "InvalidManifest", "manifest.yaml")

    message = caught.value.message
    assert (caught.value.reason, message.startswith("manifest.yaml "), len(message) < 300, message.isprintable()) == (
        "InvalidManifest", True, True, True)


def test_a_megabyte_of_anything_is_read_or_refused_in_a_tenth_of_a_second() -> None:
    fine = {"one scalar": "a" * (MEGABYTE - 10), "comments": "#" * MEGABYTE, "lines": "\n" * MEGABYTE,
            "folded": ">\n" + " a\n" * 340_000, "escapes": '"' + "\\u0041" * 170_000 + '"',
            "keys": "\n".join(f"k{n}: v" for n in range(4_900)),
            "anchors": "".join(f"- &a{n} x\n" for n in range(9_900))}

    times = {name: _seconds(text) for name, text in (HOSTILE | fine).items()}

    assert {name: took for name, took in times.items() if took > 0.3} == {}  # 0.1 on an idle machine


def _seconds(text: str) -> float:
    best = float("inf")
    for _ in range(2):
        began = time.thread_time()
        with contextlib.suppress(InvalidInput):
            yaml_text.load(text, "", "")
        best = min(best, time.thread_time() - began)
    return best


@pytest.mark.parametrize(("text", "line"), [("a: 1\nb: [\n", 3), ("a: 1\n\na: 2", 3), ("a: 1\n---\nb: 1", 2),
                                            ("- a\n- !x b", 2)])
def test_the_line_is_named(text: str, line: int) -> None:
    with pytest.raises(InvalidInput, match=rf"\(line {line}\)"):
        yaml_text.load(text, "", "f")


@pytest.mark.parametrize(("text", "value"), [
    ("", None), ("# only this", None), ("a: 1.10", {"a": 1.1}), ("a: '1.10'", {"a": "1.10"}),
    ("--- {a: [1, b]}", {"a": [1, "b"]}),
    ("a: !!str 1", {"a": "1"}), ("b: &b {x: 1}\nc: [*b, *b]", {"b": {"x": 1}, "c": [{"x": 1}] * 2}),
    ("b: &b {x: 1, y: 1}\nc: &c {<<: *b, x: 2}\nd: {<<: *c, x: 3}",
     {"b": {"x": 1, "y": 1}, "c": {"x": 2, "y": 1}, "d": {"x": 3, "y": 1}}),
    ("a: |\n  x\n  y\n", {"a": "x\ny\n"}), ("a: aé ☃", {"a": "aé ☃"}), ("\ufeffa: 1", {"a": 1}),
])
def test_plain_values_are_read_as_they_are(text: str, value: object) -> None:
    assert yaml_text.load(text, "", "") == value
