"""The digests of ConfigMaps: what a reader adds is found until a change is told, or until another version is read."""

from __future__ import annotations

import pytest

from agentex_operator.reconcile.config_map_digests import ConfigMapDigests

NAME = ("team", "quote")


@pytest.fixture
def digests() -> ConfigMapDigests:
    found = ConfigMapDigests()
    known = found.of(NAME)
    found.take_read(NAME, "7")
    known["a"] = "digest of a"
    return found


def test_the_digest_of_a_version_is_found_while_that_version_is_read(digests: ConfigMapDigests) -> None:
    digests.take_read(NAME, "7")

    assert digests.of(NAME) == {"a": "digest of a"}


@pytest.mark.parametrize("version", ["8", "6", "", None])
def test_a_read_of_another_version_or_of_none_forgets_the_digests(digests: ConfigMapDigests,
                                                                  version: str | None) -> None:
    digests.take_read(NAME, version)

    assert digests.of(NAME) == {}


def test_what_is_told_to_have_changed_is_forgotten(digests: ConfigMapDigests) -> None:
    digests.of(("team", "another"))["b"] = "digest of b"

    digests.forget(NAME)

    assert digests.of(NAME) == {}
    assert digests.of(("team", "another")) == {"b": "digest of b"}

    digests.forget_all()

    assert digests.of(("team", "another")) == {}


def test_a_reader_that_began_before_a_change_adds_to_what_nobody_finds(digests: ConfigMapDigests) -> None:
    known = digests.of(NAME)
    digests.forget(NAME)
    digests.take_read(NAME, "7")  # the answer that was on its way

    known["a"] = "digest of a"

    assert digests.of(NAME) == {}


def test_a_reader_of_a_newer_version_makes_a_slow_reader_of_an_older_one_add_to_what_nobody_finds() -> None:
    digests = ConfigMapDigests()
    slow = digests.of(NAME)
    digests.take_read(NAME, "8")
    digests.take_read(NAME, "7")

    slow["a"] = "digest of a in 7"

    assert digests.of(NAME) == {}
