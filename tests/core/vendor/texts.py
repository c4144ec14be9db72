"""The texts that the vendor's models read for environments.json: written by hand, and made by chance from a fixed seed.

Needs the standard library only: the recorder runs in a virtual environment of the vendor's.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

OWNER = "cluster/uid/digest/1"  # the ownership token that is put into manifests
SEED, GENERATED, MANIFESTS = 13, 160, 80
SCALARS = (
    '"1234e56"', '"0o755"', '"on"', "'~'", '"1_000"', "'0b1'", '".inf"', "'2024-01-01'", "1234e56", "0o755", "1e3",
    "1.5e+3", "on", "off", "yes", "No", "~", "null", "", "1_000", "0b1", ".inf", "-.inf", "0x1F", "017", "1:30",
    "190:20:30", "2024-01-01", "2024-01-01T10:00:00Z", "plain words", "a:b", "http://x/y?z=[1]", "it's", "-5", '""',
    "comma, brackets [x] {y}", "''", '"\\u2028\\x7f\\t\\"\\\\"', "\U0001f600 é 日本", "'don''t'", '"# no comment"',
    "x # a comment", "|\n          one\n            two\n\n", "|+\n          kept\n\n\n", "|-\n          no end\n",
    ">-\n          folded\n          words", "|2-\n           indented\n", "\n          several\n          lines",
    '"several\n          lines"', "{a: 1_0, b: [0o7, '0o7'], c: {d: on}}", "[1, '1', on, \"on\", ~]",
    "{<<: {m: 0o1}, n: 1}", "!!str 0o7", "&here {x: '0o7', y: 0o7}", "'" + "long text, " * 60 + "'", "x" * 900,
)
NAMES = ("dev", "prod", "staging", "eu-west", '"on"', "'1'", "é")
AUTH = ("auth: {principal: {user_id: \"0123\", account_id: 6887f093600ecd59bbbd3095}}",
        "auth:\n      principal:\n        service_account_id: '1e3'  # of the office\n        account_id: \"0o7\"")


def environments() -> Iterator[tuple[str, str]]:
    """Each text of an environments.yaml, and the environment to choose."""
    yield from BY_HAND
    chance = random.Random(SEED)  # noqa: S311 - a corpus, no secret
    for _ in range(GENERATED):
        yield _environments(chance)


def manifests() -> Iterator[str]:
    """Each text of a manifest.yaml."""
    chance = random.Random(SEED)  # noqa: S311 - a corpus, no secret
    for number in range(MANIFESTS):
        yield _manifest(chance, number)


def digest() -> str:
    """The digest of all texts: a record with another one is of other texts."""
    return hashlib.sha256(repr([*environments(), *manifests()]).encode()).hexdigest()


def _environments(chance: random.Random) -> tuple[str, str]:
    names = chance.sample(NAMES, chance.randint(1, 4))
    top = chance.choice(("", "schema_version: v1\n", "---\n", "# first\n\nschema_version: 'v1'  # why\n",
                         "x: &top {a: \"0o7\"}\n", "# é 日本\n"))
    tail = chance.choice(("", "\n\n", "# last\n", "  # deeper\n\n# last\nmore: \"on\"\n", "more: 0o7\n", "...\n"))
    entries = "\n".join(f"  # about {number}\n{_entry(chance, name)}" for number, name in enumerate(names))
    text = f"{top}environments:\n{entries}{tail}".replace("\n", chance.choice(("\n", "\n", "\r\n")))
    return chance.choice(("", "", "\ufeff")) + text, chance.choice(names).strip("'\"")


def _entry(chance: random.Random, name: str) -> str:
    values = "".join(f"      k{number}: {chance.choice(SCALARS)}\n" for number in range(chance.randint(0, 7)))
    word = chance.choice(("", "    environment: some-word\n"))
    place = chance.choice(("", "    kubernetes: {namespace: \"team-1\"}\n",
                           "    kubernetes:\n      namespace: '1e3'\n"))
    return (f"  {name}:  # of it\n    {chance.choice(AUTH)}\n{word}{place}"
            + (f"    # values\n    helm_overrides:\n{values}" if values else ""))


def _manifest(chance: random.Random, number: int) -> str:
    quoted = [one for one in SCALARS if one and one[0] in "'\"" and "\n   " not in one]
    variables = "".join(f"    V{at}: {chance.choice(quoted)}\n" for at in range(1, chance.randint(2, 6)))
    top = chance.choice(("", "---\n", "# a comment\n", "# é\n---\n", "%YAML 1.1\n---\n"))
    text = (f"{top}agent:\n  name: quote-{number}  # its name\n  acp_type: sync\n"
            f"  description: {chance.choice(quoted)}\n  env:\n{variables}"
            "build: {context: {root: ., dockerfile: Dockerfile, include_paths: ['0o7', \"on\"]}}\n")
    return chance.choice(("", "\ufeff")) + text.replace("\n", chance.choice(("\n", "\r\n")))


_U = "auth: {principal: {user_id: u}}"
BY_HAND = (
    ('environments:\n  dev:\n    ' + _U + '\n    helm_overrides: {tag: "1234e56", mode: "0o755", on: "on"}\n'
     "  prod: {" + _U + "}\n", "dev"),
    ("base: &base\n  " + _U + "\n  helm_overrides: &over {a: '0o7', b: 0o7}\nenvironments:\n  dev: *base\n  prod:\n"
     "    <<: *base\n    helm_overrides:\n      <<: *over\n      c: on\n", "prod"),
    ("environments:\n  dev: &dev\n    " + _U + "\n    helm_overrides: {x: '1e3'}\n  prod: *dev\n", "prod"),
    ("environments:\n  dev:\n    " + _U + "\n    helm_overrides: {a: 1, a: '2'}\n  prod: {" + _U + "}\n", "dev"),
    ("environments:\n  dev: {" + _U + "}\n  dev: {" + _U + ", helm_overrides: {last: \"0o7\"}}\n  p: {" + _U + "}\n",
     "dev"),
    ("{environments: {dev: {" + _U + ", helm_overrides: {a: 'on', b: on}}, prod: {" + _U + "}}}", "dev"),
    ('{"environments": {"dev": {"auth": {"principal": {"user_id": "1e3"}}}, "prod": {"auth": {"principal": '
     '{"user_id": "u"}}}}}', "dev"),
    ("environments:\n  ? dev\n  : " + _U + "\n  ? prod\n  : " + _U + "\n", "prod"),
    ("\ufeffenvironments:\r\n  dev:\r\n    " + _U + "\r\n    helm_overrides:\r\n      script: |\r\n        a\r\n"
     "          b\r\n  prod: {" + _U + "}\r\n", "dev"),
    ("environments:\n  eu:\n    environment: prod\n    " + _U + "\n  dev: {" + _U + "}\n", "prod"),
    ("b: &b {prod: {" + _U + ", helm_overrides: {t: \"0o7\"}}}\nenvironments:\n  <<: *b\n  dev: {" + _U + "}\n",
     "prod"),
    ("environments:\n  dev:\n    " + _U + "\n    helm_overrides:\n      t: 2024-01-01\n      u: '2024-01-01'\n"
     "      v: 10:20\n      w: ~\n      x:\n", "dev"),
)
