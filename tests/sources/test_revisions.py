"""Revisions, and the errors of a source that cannot be read, each with its reason."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests.sources.support import (
    CONFIG_MAP,
    CONTENT,
    HERE,
    IMAGE,
    SECRET,
    failure_of,
    opened,
    over_http,
)

from agentex_operator.api.references import KeyRef
from agentex_operator.api.sources import BuildSource
from agentex_operator.core.errors import InvalidInput, NotReady


async def test_revisions_are_the_pinned_digest_the_digest_of_the_bytes_or_the_image(tmp_path: Path) -> None:
    digest = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"

    with opened(tmp_path) as sources:
        found = [await sources.resolve("team", source) for source in (over_http(), CONFIG_MAP, SECRET, IMAGE)]

    assert [(one.revision, one.digest) for one in found] == [(digest, digest)] * 3 + [("r/x:1", None)]


@pytest.mark.parametrize(("source", "kind", "reason"), [
    (BuildSource(config_map_key_ref=KeyRef(name="no", key="k")), NotReady, "ConfigMapNotFound"),
    (BuildSource(secret_key_ref=KeyRef(name="no", key="k")), NotReady, "SecretNotFound"),
    (BuildSource(config_map_key_ref=KeyRef(name="ctx", key="no")), NotReady, "KeyNotFound"),
    (BuildSource(secret_key_ref=KeyRef(name="ctx", key="no")), NotReady, "KeyNotFound"),
    (BuildSource(config_map_key_ref=KeyRef(name="text", key="c.tar.gz")), InvalidInput, "InvalidContext"),
    (over_http(secret="no"), NotReady, "SecretNotFound"),
    (over_http(secret="ctx"), NotReady, "SecretInvalid"),
    (BuildSource(), InvalidInput, "InvalidSpec"),
])
async def test_a_missing_or_unusable_object_has_its_reason(source: BuildSource, kind: type, reason: str,
                                                                   tmp_path: Path) -> None:
    error = await failure_of(tmp_path, source)

    assert (type(error), getattr(error, "reason", None), "canary" in error.message) == (kind, reason, False)


async def test_a_missing_key_names_those_there_are_and_no_values(tmp_path: Path) -> None:
    error = await failure_of(tmp_path, BuildSource(secret_key_ref=KeyRef(name="ctx", key="no")))

    assert "it has: c.tar.gz, other" in error.message


async def test_another_namespaces_objects_are_not_seen(tmp_path: Path) -> None:
    with opened(tmp_path) as sources, pytest.raises(NotReady):
        await sources.stage("other", SECRET, HERE, None)
