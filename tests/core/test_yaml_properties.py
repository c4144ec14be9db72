"""Whatever YAML a user writes: a value, or InvalidInput with the line; no other exception (report pyyaml#933)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentex_operator.core import reasons, yaml_text
from agentex_operator.core.environments import expected_namespace, render_environments
from agentex_operator.core.errors import InvalidInput
from agentex_operator.core.manifest import Manifest
from agentex_testkit import samples
from agentex_testkit.builders import a_manifest

ENVIRONMENTS = "schema_version: v1\nenvironments:\n  dev:\n    auth: {principal: {user_id: u}}\n    helm_overrides:\n"
VALUES = ("!!int ''", "!!int abc", "!!float ''", "!!float x", "!!bool enabled", "!!bool ''", "0b_", "0x_", "-0b_",
          "2024-99-99", "2024-01-01T25:61:61Z", "2024-01-01T00:00:00+99:99", "!!null x", "!!str", "!!seq x", "!!map x",
          "!!int [1]", "!!bool {a: b}", ".", "._", "1:99:99", "=", "<<", "~", ".nan", "!!float 1_000", "!!int 1.5")
TAGS = st.sampled_from(["", "! ", "!!int ", "!!float ", "!!bool ", "!!null ", "!!str ", "!!timestamp ", "!!map "])
SCALARS = st.one_of(st.text(max_size=12), st.sampled_from(VALUES), st.from_regex(r"[-+]?[0-9xXoObB_.:eEtTzZ-]{0,20}",
                                                                            fullmatch=True))
QUOTED = st.tuples(TAGS, SCALARS, st.sampled_from(["", "'", '"'])).map(lambda one: f"{one[0]}{one[2]}{one[1]}{one[2]}")


@pytest.mark.parametrize("value", ["!!int ''", "!!int abc", "!!float x", "!!bool enabled", "0b_", "2024-99-99"])
def test_a_manifest_with_a_value_that_is_none_is_refused_with_the_line(value: str) -> None:
    text = f"{a_manifest()}local_development:\n  agent:\n    port: {value}\n"
    line = text.count("\n")

    with pytest.raises(InvalidInput, match=rf"^manifest.yaml cannot be read \(line {line}\)") as caught:
        Manifest.parse(text, None)

    assert caught.value.reason == "InvalidManifest"


@pytest.mark.parametrize("read", [render_environments, expected_namespace])
@pytest.mark.parametrize("value", ["!!bool enabled", "!!int ''", "!!float ''"])
def test_environments_with_a_value_that_is_none_are_refused_with_the_line(read: object, value: str) -> None:
    with pytest.raises(InvalidInput, match=r"^environments.yaml cannot be read \(line 6\)") as caught:
        read(f"{ENVIRONMENTS}      debug: {value}\n", "dev")  # type: ignore[operator]

    assert caught.value.reason == "InvalidEnvironments"


@pytest.mark.parametrize(("text", "value"), [("!!float 1", 1.0), ("!!int '3'", 3), ("!!bool yes", True),
                                             ("!!str 2024-99-99", "2024-99-99"), ("'0b_'", "0b_")])
def test_a_value_that_fits_its_tag_is_read(text: str, value: object) -> None:
    assert yaml_text.load(f"a: {text}", reasons.INVALID_MANIFEST, "f") == {"a": value}


@pytest.mark.parametrize("value", VALUES)
def test_no_message_has_a_copy_of_the_value(value: str) -> None:
    secret = "canary"
    with pytest.raises(InvalidInput) as caught:
        yaml_text.load(f"a: !!int {secret}\nb: {value}", reasons.INVALID_MANIFEST, "manifest.yaml")

    assert secret not in caught.value.message


@settings(max_examples=samples.examples(300), deadline=None)
@given(st.one_of(st.text(max_size=200), st.lists(QUOTED, max_size=6).map(
    lambda values: "".join(f"k{number}: {value}\n" for number, value in enumerate(values)))))
def test_any_text_is_a_value_or_invalid_input(text: str) -> None:
    for read in (lambda: Manifest.parse(text, None), lambda: render_environments(text, "dev"),
                 lambda: yaml_text.load(text, reasons.INVALID_MANIFEST, "manifest.yaml")):
        _read_or_refused(read)


@settings(max_examples=samples.examples(300), deadline=None)
@given(QUOTED)
def test_any_value_in_environments_is_read_or_invalid_input(value: str) -> None:
    text = f"{ENVIRONMENTS}      debug: {value}\n"

    _read_or_refused(lambda: render_environments(text, "dev"))
    _read_or_refused(lambda: render_environments(text, None))


def _read_or_refused(read: object) -> None:
    try:
        read()  # type: ignore[operator]
    except InvalidInput as error:
        assert error.message.isprintable()  # noqa: PT017 - what is refused is refused in one sentence
