"""The manifest of a build, for a deployment that takes it from there."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web
from tests.sources.archives import AGENT, a_tar_gz
from tests.sources.servers import serving
from tests.sources.support import (
    CONFIG_MAP,
    CONTENT,
    HERE,
    IMAGE,
    Slowly,
    a_namespace,
    encoded,
    left_behind,
    opened,
    over_http,
)

from agentex_operator.core.errors import InvalidInput, NotReady


async def test_the_manifest_comes_with_the_hash_of_its_context_and_is_fetched_once(tmp_path: Path) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=CONTENT)

    with serving(answer) as server, opened(tmp_path, allowed_hosts=frozenset({server.host})) as sources:
        source = over_http(server, secret="token")
        staged = await sources.stage("team", source, HERE, "quote")
        found = [await sources.manifest("team", source, HERE) for _ in range(3)]
        staged.release()

        assert found == [(staged.context_digest, AGENT["manifest.yaml"])] * 3
        assert server.asked == [("/c.tar.gz", "Bearer canary")]


async def test_a_manifest_cached_for_one_namespace_is_not_shown_to_another(tmp_path: Path) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=CONTENT)

    with serving(answer) as server, opened(tmp_path, allowed_hosts=frozenset({server.host})) as sources:
        source = over_http(server, secret="token")
        await sources.manifest("team", source, HERE)

        with pytest.raises(NotReady):
            await sources.manifest("other", source, HERE)


async def test_new_content_gives_a_new_manifest(tmp_path: Path) -> None:
    namespace = a_namespace()
    with opened(tmp_path, namespace) as sources:
        before = await sources.manifest("team", CONFIG_MAP, HERE)
        changed = a_tar_gz(AGENT | {"quote/new": ""})
        namespace.config_maps["ctx"] = {"binaryData": {"c.tar.gz": encoded(changed)}}

        assert (await sources.manifest("team", CONFIG_MAP, HERE))[0] != before[0]
        assert left_behind(tmp_path) == []


async def test_a_manifest_is_read_no_earlier_than_requested(tmp_path: Path) -> None:
    slow = Slowly(a_namespace().config_maps)
    slow.let.set()
    with opened(tmp_path, slow) as sources:
        for since in (1.0, 2.0):
            await sources.manifest("team", CONFIG_MAP, HERE, since)

    assert sorted(set(slow.asked)) == [1.0, 2.0]


async def test_an_image_has_no_manifest(tmp_path: Path) -> None:
    with opened(tmp_path) as sources, pytest.raises(InvalidInput, match="has no manifest"):
        await sources.manifest("team", IMAGE, HERE)
