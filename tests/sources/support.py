"""What the tests of sources share: a namespace of ConfigMaps and Secrets, and the sources that read from it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.sources.archives import AGENT, a_tar_gz
from tests.sources.servers import Server

from agentex_operator.api.build import Context
from agentex_operator.api.references import KeyRef, NameRef
from agentex_operator.api.sources import BuildSource, HttpSource, ImageSource
from agentex_operator.core.errors import ExternalError
from agentex_operator.sources import Sources

CONTENT = a_tar_gz(AGENT)
ENVIRONMENTS = "schema_version: v1\n"


def encoded(content: bytes | str) -> str:
    return base64.b64encode(content.encode() if isinstance(content, str) else content).decode()


@dataclass
class Namespace:
    """The ConfigMaps and Secrets there are."""

    config_maps: dict[str, dict[str, Any]] = field(default_factory=dict)
    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)

    def config_map_digests(self, namespace: str, name: str) -> None:
        """Nothing tells of changes here."""

    async def config_map(self, namespace: str, name: str, since: float = 0.0) -> Mapping[str, Any] | None:
        return self.config_maps.get(name) if namespace == "team" else None

    async def secret(self, namespace: str, name: str, since: float = 0.0) -> Mapping[str, Any] | None:
        return self.secrets.get(name) if namespace == "team" else None


def a_namespace(content: bytes = CONTENT) -> Namespace:
    return Namespace({"ctx": {"binaryData": {"c.tar.gz": encoded(content)}}, "text": {"data": {"c.tar.gz": "hello"}}},
                     {"ctx": {"data": {"c.tar.gz": encoded(content), "other": encoded("canary")}},
                      "token": {"data": {"bearerToken": encoded("canary")}}})


CONFIG_MAP = BuildSource(config_map_key_ref=KeyRef(name="ctx", key="c.tar.gz"))
SECRET = BuildSource(secret_key_ref=KeyRef(name="ctx", key="c.tar.gz"))
MOVING = BuildSource(http=HttpSource(url="https://files.example.com/c.tar.gz", interval="5m"))
IMAGE = BuildSource(image=ImageSource(url="r/x:1"))
HERE = Context()


def over_http(server: Server | None = None, content: bytes = CONTENT, secret: str | None = None) -> BuildSource:
    url = f"{server.url}/c.tar.gz" if server else "https://files.example.com/c.tar.gz"
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return BuildSource(http=HttpSource(url=url, digest=digest, secret_ref=NameRef(name=secret) if secret else None))


@contextlib.contextmanager
def opened(tmp_path: Path, namespace: Namespace | None = None, **options: Any) -> Iterator[Sources]:
    sources = Sources(namespace or a_namespace(), tmp_path / "work", keep_secret=list[str]().append, **options)
    try:
        yield sources
    finally:
        sources.close()


def left_behind(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "work").glob("run-*/*") if path.name != "lock")


async def failure_of(tmp_path: Path, source: BuildSource, namespace: Namespace | None = None, agent: str | None = None,
                     **options: Any) -> ExternalError:
    with opened(tmp_path, namespace, **options) as sources:
        with pytest.raises(ExternalError) as caught:
            await sources.stage("team", source, HERE, agent)
        assert left_behind(tmp_path) == []
    return caught.value


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in other threads
            await asyncio.sleep(0.002)


@dataclass
class Slowly(Namespace):
    """Answers when let; what it answers is what there was when it was asked."""

    let: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[float] = field(default_factory=list)

    async def config_map(self, namespace: str, name: str, since: float = 0.0) -> Mapping[str, Any] | None:
        found = await super().config_map(namespace, name)
        self.asked.append(since)
        await self.let.wait()
        return found
