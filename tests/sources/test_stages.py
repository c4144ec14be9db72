"""Staged contexts: held until released, refused with a reason, and nothing is left behind."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from tests.sources.archives import AGENT, a_tar_gz
from tests.sources.support import (
    CONFIG_MAP,
    CONTENT,
    ENVIRONMENTS,
    HERE,
    SECRET,
    a_namespace,
    failure_of,
    left_behind,
    opened,
)

from agentex_operator.core.errors import Unavailable
from agentex_operator.sources.limits import ContextLimits, full_disk_is_temporary


async def test_a_staged_context_can_be_read_until_it_is_released(tmp_path: Path) -> None:
    with opened(tmp_path, a_namespace(a_tar_gz(AGENT | {"environments.yaml": ENVIRONMENTS}))) as sources:
        staged = await sources.stage("team", CONFIG_MAP, HERE, "quote")
        with tarfile.open(staged.archive) as tar:
            names = tar.getnames()
        kept = left_behind(tmp_path)
        staged.release()
        staged.release()

        assert (names, staged.size > 100, staged.manifest_text, staged.environments_text) == (
            ["Dockerfile", "quote/main.py"], True, AGENT["manifest.yaml"], ENVIRONMENTS)
        assert (kept, left_behind(tmp_path)) == ([f"{staged.context_digest}.tar.gz"], [])


async def test_equal_contents_are_one_archive_until_the_last_release(tmp_path: Path) -> None:
    with opened(tmp_path) as sources:
        one, other = [await sources.stage("team", source, HERE, None) for source in (CONFIG_MAP, SECRET)]
        one.release()

        assert (one.archive, other.archive.exists()) == (other.archive, True)
        other.release()
        assert left_behind(tmp_path) == []


async def test_the_wrong_agent_is_refused_with_both_names(tmp_path: Path) -> None:
    error = await failure_of(tmp_path, CONFIG_MAP, agent="sales-bot")

    assert (getattr(error, "reason", None), "'quote'" in error.message, "'sales-bot'" in error.message) == (
        "InvalidManifest", True, True)


@pytest.mark.parametrize(("content", "reason"), [
    (b"PK\x03\x04", "CorruptContext"), (CONTENT[:-20], "CorruptContext"), (b"", "CorruptContext"),
    (a_tar_gz({"README": ""}), "ManifestNotFound"), (a_tar_gz({"../x": ""}), "InvalidContext"),
    (a_tar_gz({"manifest.yaml": "a: [*a]"}), "InvalidManifest"),
    (a_tar_gz({"manifest.yaml": AGENT["manifest.yaml"]}), "DockerfileNotFound"),
])
async def test_a_context_that_cannot_be_used_has_its_reason_and_leaves_nothing(content: bytes, reason: str,
                                                                              tmp_path: Path) -> None:
    assert getattr(await failure_of(tmp_path, CONFIG_MAP, a_namespace(content)), "reason", None) == reason


async def test_a_context_too_large_to_send_is_refused(tmp_path: Path) -> None:
    error = await failure_of(tmp_path, CONFIG_MAP, limits=ContextLimits(archive=100))

    assert getattr(error, "reason", None) == "ContextTooLarge"


def test_a_full_disk_is_a_temporary_failure() -> None:
    with pytest.raises(Unavailable, match="full"), full_disk_is_temporary(), Path("/dev/full").open("wb") as full:
        full.write(CONTENT)
