"""The API server is reached without the proxy of the environment, and by the proxy of the kubeconfig."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
import yaml
from aiohttp import web
from tests.network.proxy_server import proxying
from tests.sources.servers import Server, serving

from agentex_operator.clock import Clock
from agentex_operator.kube.cluster import KubeCluster
from agentex_operator.settings import Settings
from agentex_operator.watch import connection_of


async def answer(_request: web.Request) -> web.Response:
    return web.json_response({"kind": "Namespace", "metadata": {"uid": "uid-1"}})


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(answer) as made:
        yield made


@pytest.fixture(autouse=True)
def dead_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8,.svc")


async def connected(folder: Path, **of_cluster: str) -> KubeCluster:
    content = {"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
               "clusters": [{"name": "c", "cluster": of_cluster}], "users": [{"name": "u", "user": {"token": "t"}}]}
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return await KubeCluster.connect(Settings(kubeconfig=path), Clock())


async def test_the_proxy_of_the_environment_is_not_used_for_the_api_server(server: Server, tmp_path: Path) -> None:
    async with aclosing(await connected(tmp_path, server=server.url)) as cluster:
        assert await cluster.cluster_uid() == "uid-1"


async def test_the_proxy_of_the_kubeconfig_is_used_for_the_api_server(server: Server, tmp_path: Path) -> None:
    with proxying(server.port) as proxy:
        of_cluster = {"server": "http://api.example.net", "proxy-url": proxy.url}
        async with aclosing(await connected(tmp_path, **of_cluster)) as cluster:
            assert await cluster.cluster_uid() == "uid-1"

    assert proxy.asked == ["GET http://api.example.net/api/v1/namespaces/kube-system"]


async def test_the_watch_uses_the_same_proxy(server: Server, tmp_path: Path) -> None:
    async with aclosing(await connected(tmp_path, server=server.url)) as cluster:
        plain = connection_of(await cluster.access())
    of_cluster = {"server": server.url, "proxy-url": "http://proxy.example.net:3128"}
    async with aclosing(await connected(tmp_path, **of_cluster)) as cluster:
        proxied = connection_of(await cluster.access())

    assert (plain.trust_env, plain.proxy_url) == (False, None)
    assert (proxied.trust_env, proxied.proxy_url) == (False, "http://proxy.example.net:3128")
