"""References to images: what a registry can hold is admitted, by the model and by the CRD alike, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from agentex_operator.api.build import ImageTarget
from agentex_operator.api.sources import ImageSource

CRD = Path(__file__).parents[2] / "crds" / "agentex.scale.com_agentbuilds.yaml"
SPEC: dict[str, Any] = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
PROPERTIES = SPEC["spec"]["properties"]
REFERENCE = PROPERTIES["source"]["properties"]["image"]["properties"]["url"]
NAME, TAG = (PROPERTIES["image"]["properties"][name] for name in ("name", "tag"))

# Each part is made of its alternatives here, apart from the patterns of the operator.
LOWER = st.text("abz09", min_size=1, max_size=4)
WORDS = st.lists(LOWER, min_size=1, max_size=3).flatmap(
    lambda words: st.lists(st.sampled_from([".", "_", "__", "-", "---"]), min_size=len(words), max_size=len(words)).map(
        lambda between: "".join(mark + word for mark, word in zip(between, words, strict=True)).lstrip("._-")))
REPOSITORIES = st.lists(WORDS, min_size=1, max_size=3).map("/".join)
HOSTS = st.sampled_from(["localhost", "registry.example.com", "10.0.0.7", "Registry-1.Example.COM"])
PLACES = st.one_of(st.just(""), HOSTS.map(lambda host: f"{host}/"),
                   st.tuples(HOSTS, st.integers(1, 65535)).map(lambda both: f"{both[0]}:{both[1]}/"))
TAGS = st.tuples(st.text("aZ0_", min_size=1, max_size=1), st.text("aZ0_.-", max_size=127)).map("".join)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:{}".format)
VERSIONS = st.one_of(TAGS.map(":{}".format), DIGESTS.map("@{}".format),
                     st.tuples(TAGS, DIGESTS).map(lambda both: f":{both[0]}@{both[1]}"))
DIGEST = "sha256:" + "0" * 64


def is_admitted(schema: dict[str, Any], text: str) -> bool:
    """Whether the schema of the CRD admits the text: by its pattern, and by its rule, which is the same pattern."""
    [rule] = schema["x-kubernetes-validations"]
    assert rule["rule"] == f"self.matches('{schema['pattern']}')"
    return re.fullmatch(schema["pattern"], text) is not None and len(text) <= schema["maxLength"]


def is_read(text: str) -> bool:
    """Whether the operator reads the text as the image of a source."""
    try:
        ImageSource(url=text)
    except ValidationError:
        return False
    return True


@given(place=PLACES, repository=REPOSITORIES, version=VERSIONS)
def test_an_image_with_a_tag_a_digest_or_both_is_admitted(place: str, repository: str, version: str) -> None:
    assert is_admitted(REFERENCE, f"{place}{repository}{version}")
    assert is_read(f"{place}{repository}{version}")


@given(place=PLACES, repository=REPOSITORIES)
@example(place="localhost:5000/", repository="quote")
def test_an_image_without_tag_and_digest_is_refused(place: str, repository: str) -> None:
    assert (is_admitted(REFERENCE, f"{place}{repository}"), is_read(f"{place}{repository}")) == (False, False)


@given(place=PLACES, repository=REPOSITORIES, version=VERSIONS, at=st.integers(0, 400),
       wrong=st.sampled_from("\n \t\\?#=%é😀\x00,;'\"<>|&$(){}"))
def test_a_character_that_no_reference_has_is_refused_at_any_place(
    place: str, repository: str, version: str, at: int, wrong: str
) -> None:
    whole = f"{place}{repository}{version}"
    text = whole[:at] + wrong + whole[at:]

    assert (is_admitted(REFERENCE, text), is_read(text)) == (False, False)


@pytest.mark.parametrize("text", [
    "a:b:c", "a@sha256:00", "a@md5:00", f"a@{DIGEST}:v1", f"a@{DIGEST}0", f"a@{DIGEST[:-1]}", f"a@{DIGEST.upper()}",
    "a:", "a@", ":v1", "/a:v1", "a//b:v1", "A:v1", "host/A:v1", "a_/b:v1", "a..b:v1", "a:.v1", "a:-v1",
    f"a:{'v' * 129}", "https://example.com/a:v1", "user@example.com/a:v1", "example.com:/a:v1",
    "example.com:123456/a:v1", "../a:v1", "-a.example.com/a:v1", "a:v1\n", "", "a:v1/", "docker://a:v1",
])
def test_a_text_that_only_looks_like_a_reference_is_refused_with_the_next_step(text: str) -> None:
    assert not is_admitted(REFERENCE, text)
    with pytest.raises(ValidationError) as caught:
        ImageSource(url=text)
    assert not text or "add the tag or the digest" in str(caught.value)


@given(repository=REPOSITORIES, tag=TAGS)
def test_a_target_takes_every_repository_and_tag(repository: str, tag: str) -> None:
    assert (is_admitted(NAME, repository), is_admitted(TAG, tag)) == (True, True)
    assert ImageTarget(name=repository, tag=tag).tag == tag


@pytest.mark.parametrize(("name", "tag"), [
    ("a//b", "v1"), ("a_/b", "v1"), ("A", "v1"), ("a/", "v1"), ("/a", "v1"), ("a..b", "v1"), ("a:v1", "v1"),
    ("a\n", "v1"), ("a", ".v1"), ("a", "-v1"), ("a", "v1 "), ("a", "v:1"), ("a", "v1\n"), ("a", "é"),
])
def test_a_target_that_no_registry_can_hold_is_refused(name: str, tag: str) -> None:
    assert not (is_admitted(NAME, name) and is_admitted(TAG, tag))
    with pytest.raises(ValidationError, match="must be a"):
        ImageTarget(name=name, tag=tag)
