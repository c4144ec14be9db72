"""A YAML text that goes through the operator means the same to every reader: PyYAML (1.1) and ruamel.yaml (1.2)."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from agentex_operator.core import byte_order_mark, reasons, yaml_text
from agentex_operator.core.environments import render_environments
from agentex_operator.core.errors import InvalidInput
from agentex_operator.core.ownership import token_in, with_token
from agentex_testkit import samples

AUTH = "auth: {principal: {user_id: u}}"
SCALARS = ['"1234e56"', '"0o755"', '"on"', "'~'", '"1_000"', "'0b1'", '".inf"', "'2024-01-01'", "1234e56", "0o755",
           "1e3", "on", "off", "yes", "~", "null", "1_000", "0b1", ".inf", "0x1F", "017", "1:30", "190:20:30",
           "2024-01-01", "plain words", "a:b", "http://x/y?z=[1]", "it's", "comma, brackets [x] {y}", "-5", '""', "''",
           '"\\u2028\\x7f\\t\\"\\\\"', "\U0001f600 é 日本", "'don''t'", '"# no comment"', "x # a comment", "",
           "|\n          one\n            two\n\n", "|+\n          kept\n\n\n", ">-\n          folded\n          words",
           "|2-\n           indented\n", "http://x/?y=1",
           "\n          several\n          lines", '"several\n          lines"',
           "{a: 1_0, b: [0o7, '0o7'], c: {d: on}}", "[1, '1', on, \"on\", ~]", "{<<: {m: 0o1}, n: 1}", "!!str 0o7"]


def read_by_all(text: str) -> tuple[str, str]:
    """What the readers find: of YAML 1.1 and of YAML 1.2."""
    newer = YAML(typ="safe", pure=True)
    return repr(yaml.safe_load(text)), repr(plain(newer.load(io.StringIO(text))))


def plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def reduced(text: str, key: str) -> tuple[str, str]:
    """What the readers find in the text, with only this key left by each of them."""
    old, new = yaml.safe_load(text), plain(YAML(typ="safe", pure=True).load(io.StringIO(text)))
    assert isinstance(new, dict)
    for document in (old, new):
        document["environments"] = {key: document["environments"][key]}
    return repr(old), repr(new)


def an_entry(name: str, values: list[str], indent: str = "  ") -> str:
    head = f"{indent}{name}:  # of {name}\n{indent}  auth: {{principal: {{user_id: \"{name}\"}}}}\n"
    lines = "".join(f"{indent}    k{number}: {value}\n" for number, value in enumerate(values))
    return head + (f"{indent}  # values of {name}\n{indent}  helm_overrides:\n{lines}" if values else "")


entries = st.lists(st.lists(st.sampled_from(SCALARS), max_size=6), min_size=1, max_size=4)
tops = st.sampled_from(["", "schema_version: v1\n", "---\n", "# first\n\nschema_version: 'v1'  # why\n",
                        "x: &top {a: \"0o7\"}\n", "%YAML 1.2\n---\n"])
tails = st.sampled_from(["", "\n\n", "# last\n", "  # deeper\n\n# last\nmore: \"on\"\n", "more: 0o7\n", "...\n"])
breaks = st.sampled_from(["\n", "\r\n"])


@given(entries, st.integers(0, 3), tops, tails, breaks, st.booleans())
@settings(max_examples=samples.examples(100), deadline=None)
def test_an_entry_cut_out_of_a_text_means_the_same_to_every_reader(values: list[list[str]], choice: int, top: str,
                                                                   tail: str, line_end: str, marked: bool) -> None:
    names = [f"e{number}" for number in range(len(values))]
    body = "\n".join(f"  # about {name}\n" + an_entry(name, one) for name, one in zip(names, values, strict=True))
    text = f"{top}environments:\n{body}{tail}".replace("\n", line_end)
    name = names[choice % len(names)]

    sent = render_environments("\ufeff" * marked + text, name)

    assert read_by_all(sent) == reduced(text, name)
    assert all(line in text.splitlines(keepends=True) for line in sent.splitlines(keepends=True))
    assert [other for other in names if other != name and f" {other}" in sent] == []


@given(st.lists(st.sampled_from([one for one in SCALARS if "\n" not in one]), min_size=1, max_size=6))
@settings(max_examples=samples.examples(60), deadline=None)
def test_an_anchored_value_of_another_entry_means_the_same_to_every_reader(values: list[str]) -> None:
    base = an_entry("base", values).replace("base:  #", "base: &base  #").replace(
        "helm_overrides:", "helm_overrides: &over")
    text = (f"environments:\n{base}  prod:\n    <<: *base\n    helm_overrides:\n      <<: *over\n      more: *over\n"
            "  same: *base\n")

    for key in ("prod", "same"):
        assert read_by_all(render_environments(text, key)) == reduced(text, key)


@given(st.sampled_from(SCALARS), st.sampled_from(["", "# a comment\n", "---\n", "%YAML 1.2\n---\n"]), breaks,
       st.booleans())
@settings(deadline=None)
def test_a_manifest_with_its_token_means_the_same_to_every_reader(value: str, top: str, line_end: str,
                                                                  marked: bool) -> None:
    text = f"{top}a:\n    - b:\n        {value}\n    - c\n".replace("\n", line_end)

    sent = with_token("\ufeff" * marked + text, "cluster/uid/digest/1")

    assert (read_by_all(sent), token_in(sent), sent.endswith(text)) == (read_by_all(text), "cluster/uid/digest/1", True)


# --- what one reader takes and another one does not -----------------------------------------------------------------

PIECES = st.sampled_from([
    "a", "b: ", "a: ", "k:", "- ", "-", " ", "  ", "\t", "\n", "\n  ", "\n    ", "'", '"', "#", " # c", "|\n",
    "|+\n", ">-\n", "{", "}", "[", "]", ", ", ",", "?", "? ", ": ", ":", "&a ", "*a ", "*a", "\ufeff", "!!str ", "<<: ",
    "1", "1:2", "0x", "null", "~", "\\n", "\\", "%", "@", "`", "---\n", "...\n", "=", "http://x/?a=b", "a#b", "\r\n",
    "\r", "\x85", "\u2028", "*", "&", ">", "|", "'x'", '"y"', "''", "\U0001f600"])


@given(st.lists(PIECES, max_size=12).map("".join))
@settings(max_examples=samples.examples(1500), deadline=None)
@example("a:\t1\n")
@example("a: 1\t# c\n")
@example('{\n\t"a": 1\n}\n')
@example("a: &a \t'x'\n")
@example("# c\x85a: b\tc\n")
@example("a: {b: http://x/?a=b}\n")
@example("a: |#c\n  x\n")
@example("# c\n\ufeffa: 1\n")
@example("\ufeff\ufeffa: 1\n")
@example("---\r\ufeffa: 1\n")
def test_what_the_operator_takes_means_the_same_to_the_reader_of_the_vendor(text: str) -> None:
    try:
        value = yaml_text.load(text, reasons.INVALID_MANIFEST, "manifest.yaml")
    except InvalidInput:
        return

    assert repr(value) == repr(yaml.safe_load(byte_order_mark.without_mark(text)))


@pytest.mark.parametrize(("text", "line", "step"), [
    ("a: 1\nb:\t2\n", 2, "replace it by spaces"),
    ("a: 'x\ty'\nb: |\n  x\ty\n# \t\nc: 1\t# c\n", 5, "replace it by spaces"),
    ("a: 1\r\n\ufeffb: 2\r\n", 2, "remove it"), ("a: 1\nb: [x, y?z]\n", 2, "put it in quotes"),
    ("a: 1\nb: >-#c\n  x\n", 2, "put a space before #"), ("a: &x 1\nb: &x 2\n", 2, "rename one of them"),
])
def test_what_readers_take_differently_is_refused_with_the_line_and_what_to_do(text: str, line: int, step: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        yaml_text.load(text, reasons.INVALID_MANIFEST, "manifest.yaml")

    assert f"(line {line})" in caught.value.message
    assert f"{step}." in caught.value.message


@pytest.mark.parametrize("text", ["a: 'x\ty'\n", "a: \"x\ty\"  # \ty\n", "a: |\n  x\ty\n", ">\n  x\n  \ty\n",
                                  "#\ta\na: x?y\n", "a: ['?x', \"y?\"]\n", "? a\n: b\n", "{? a : b}\n",
                                  "a: b\ufeffc\n"])
def test_what_all_readers_take_is_taken(text: str) -> None:
    assert repr(yaml_text.load(text, reasons.INVALID_MANIFEST, "")) == repr(yaml.safe_load(text)) == repr(
        plain(YAML(typ="safe", pure=True).load(io.StringIO(text))))


@pytest.mark.parametrize("name", ["yes", "null", "2024-01-01", "12"])
def test_an_environment_whose_name_is_no_text_is_refused_with_what_yaml_reads(name: str) -> None:
    with pytest.raises(InvalidInput, match=f"YAML reads as {yaml.safe_load(name)}, not as a text; put it in quotes"):
        render_environments(f"environments: {{{name}: {{{AUTH}}}}}\n", None)


# --- each shape of a text -------------------------------------------------------------------------------------------



@pytest.mark.parametrize(("text", "expected"), [
    (f"# top\nenvironments:\n  # dev\n  dev:\n    {AUTH}\n\n  # prod\n  prod: {{{AUTH}}}  # why\n# end\nz: 1\n",
     f"# top\nenvironments:\n  # prod\n  prod: {{{AUTH}}}  # why\n# end\nz: 1\n"),
    (f"environments:\n  prod:\n    {AUTH}\n    # of prod\n\n  # dev\n  dev: {{{AUTH}}}\n",
     f"environments:\n  prod:\n    {AUTH}\n    # of prod\n\n"),
    (f"environments: {{dev: {{{AUTH}}}, prod: {{{AUTH}}}, x: 1}}\n", f"environments: {{prod: {{{AUTH}}}}}\n"),
    (f"{{environments: {{\n  prod: {{{AUTH}}},  # why\n  dev: {{}}\n}}}}",
     f"{{environments: {{\n  prod: {{{AUTH}}}\n}}}}"),
    (f'environments:\r\n  dev: {{}}\r\n  "prod":\r\n    {AUTH}\r\n', f'environments:\r\n  "prod":\r\n    {AUTH}\r\n'),
    (f"environments:\n  ? dev\n  : {{}}\n  ? prod\n  : {AUTH}\n", f"environments:\n  ? prod\n  : {AUTH}\n"),
    (f"b: &b {{{AUTH}}}\nenvironments:\n  dev: *b\n  prod: *b\n", f"b: &b {{{AUTH}}}\nenvironments:\n  prod: *b\n"),
    (f"environments:\n  dev: &b {{{AUTH}, x: \"0o7\"}}\n  prod: *b\n",
     f'environments:\n  prod: {{{AUTH.replace(" u}", " u}")}, x: "0o7"}}\n'),
    (f"b: &b {{prod: {{{AUTH}, x: '1'}}}}\nenvironments: *b\n",
     f'b: &b {{prod: {{{AUTH}, x: \'1\'}}}}\nenvironments: {{prod: {{{AUTH}, x: "1"}}}}\n'),
    (f"b: &b {{prod: {{{AUTH}}}}}\nenvironments:\n  <<: *b\n  dev: {{}}\n",
     f"b: &b {{prod: {{{AUTH}}}}}\nenvironments:\n  {{prod: {{{AUTH}}}}}\n"),
    (f"environments: &e  # all\n  dev: {{}}\n  prod: {{{AUTH}}}\n", f"environments: &e  # all\n  prod: {{{AUTH}}}\n"),
    (f"? environments\n: dev: {{}}\n  prod:\n    {AUTH}\n    x: |\n      y\nz: 1\n",
     f'? environments\n: {{prod: {{{AUTH}, x: "y\\n"}}}}\nz: 1\n'),
])
def test_the_rest_of_the_text_stays_as_it_is_written(text: str, expected: str) -> None:
    sent = render_environments(text, "prod")

    assert (sent, read_by_all(sent)) == (expected, reduced(text, "prod"))


NESTED = "".join(f"    x{number}: &x{number} [*x{number - 1}]\n" for number in range(1, 60))


@pytest.mark.parametrize("text", [
    f"<<: {{environments: {{dev: {{{AUTH}}}, prod: {{{AUTH}}}}}}}\n",
    f"environments:\n  dev:\n    x0: &x0 [1]\n{NESTED}  prod:\n    {AUTH}\n    x: *x59\n",
    f"environments:\n  dev: &v {{v: {'x' * 99_999}}}\n  prod:\n    {AUTH}\n    x: [{'*v, ' * 99}]\n",
], ids=["a merged map", "replaced aliases too deep", "replaced aliases too long"])
def test_what_cannot_be_cut_is_refused_with_what_to_do(text: str) -> None:
    with pytest.raises(InvalidInput, match="without anchors of other entries") as caught:
        render_environments(text, "prod")

    assert caught.value.reason == "InvalidEnvironments"


shared = st.sampled_from([{"m": "0o7", "n": ["on", 1.5, None, ""]}, ["1e3", True, {"d": "2024-01-01"}], "a: b, {c}\n",
                          {"deep": {"deeper": ["~", -1, "é \u2028"]}}])
values_of_entries = st.dictionaries(st.sampled_from(["a", "0b1", "on", "key: x", "[k]"]), shared, max_size=4)


@given(st.lists(values_of_entries, min_size=1, max_size=4), st.sampled_from([None, True, False]),
       st.sampled_from([None, '"', "'", "|", ">"]), st.integers(0, 3), st.booleans(), st.booleans())
@settings(max_examples=samples.examples(100), deadline=None)
def test_what_a_yaml_library_writes_with_anchors_means_the_same_when_it_is_cut(
        found: list[dict[str, object]], flow: bool | None, style: str | None, choice: int, explicit: bool, last: bool,
) -> None:
    all_of_them = {f"e{number}": {"auth": {"principal": {"user_id": "u"}}, "helm_overrides": one, "again": one}
                   for number, one in enumerate(found)}
    extra = {"x": found[0], "y": all_of_them["e0"]}
    document = {"environments": all_of_them} | extra if last else extra | {"environments": all_of_them}
    text = yaml.safe_dump(document, default_flow_style=flow, default_style=style, sort_keys=False, allow_unicode=True,
                          explicit_start=explicit)
    key = f"e{choice % len(found)}"

    assert read_by_all(render_environments(text, key)) == reduced(text, key)
