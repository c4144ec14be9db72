"""YAML that strangers may write to hurt whoever reads it (reliability.md §2f)."""

from __future__ import annotations

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
