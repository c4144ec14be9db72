"""A digest is computed once per pass: the observed values of one pass share it."""

from __future__ import annotations

from dataclasses import replace

from tests.core.core_fixture import a_build, a_deployment

from agentex_operator.core.calls import Revision
from agentex_operator.core.digests import Digests, digest_of


def test_digest_is_that_of_the_parts() -> None:
    assert Digests().of(("key",), "a", ["b"], None) == digest_of("a", ["b"], None)


def test_digest_of_a_build_is_the_same_object_in_the_whole_pass() -> None:
    _, observed = a_build().begin()
    staged = replace(observed, staged="hash", revision=Revision("1"))

    assert staged.digest is not None
    assert replace(staged, log_withheld=True).digest is staged.digest


def test_digest_of_a_deployment_is_the_same_object_in_the_whole_pass() -> None:
    _, observed = a_deployment().begin()

    assert observed.digest is not None
    assert replace(observed, unread=True).digest is observed.digest


def test_digest_changes_with_the_context_within_a_pass() -> None:
    _, observed = a_build().begin()

    assert replace(observed, staged="one").digest != replace(observed, staged="two").digest


def test_passes_do_not_share_digests() -> None:
    (_, first), (_, second) = a_build().begin(), a_build(platform="linux/arm64").begin()

    assert replace(first, staged="hash").digest != replace(second, staged="hash").digest
