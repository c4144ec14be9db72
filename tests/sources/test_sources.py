"""The one door: revisions are cheap, stagings are shared, bounded and leave nothing behind."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import subprocess
import sys
import tarfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.sources.archives import AGENT, a_tar_gz
from tests.sources.servers import Server, serving

from agentex_operator.api.build import BuildSource, Context, HttpSource, ImageSource
from agentex_operator.api.references import KeyRef, NameRef
from agentex_operator.core.errors import ExternalError, InvalidInput, NotReady, Unavailable
from agentex_operator.sources import Sources, Staged
from agentex_operator.sources.limits import Limits, full_disk_is_passing
from agentex_operator.sources.references import authorization

CONTENT = a_tar_gz(AGENT)
ENVIRONMENTS = "schema_version: v1\n"


def encoded(content: bytes | str) -> str:
    return base64.b64encode(content.encode() if isinstance(content, str) else content).decode()


@dataclass
class Namespace:
    """The ConfigMaps and Secrets there are."""

    config_maps: dict[str, dict[str, Any]] = field(default_factory=dict)
    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def config_map(self, namespace: str, name: str, since: float = 0.0) -> Mapping[str, Any] | None:
        return self.config_maps.get(name) if namespace == "team" else None

    async def secret(self, namespace: str, name: str, since: float = 0.0) -> Mapping[str, Any] | None:
        return self.secrets.get(name) if namespace == "team" else None


def a_namespace(content: bytes = CONTENT) -> Namespace:
    return Namespace({"ctx": {"binaryData": {"c.tar.gz": encoded(content)}}, "text": {"data": {"c.tar.gz": "hello"}}},
                     {"ctx": {"data": {"c.tar.gz": encoded(content), "other": encoded("canary")}},
                      "token": {"data": {"token": encoded("canary")}}})


CONFIG_MAP = BuildSource(config_map=KeyRef(name="ctx", key="c.tar.gz"))
SECRET = BuildSource(secret=KeyRef(name="ctx", key="c.tar.gz"))
IMAGE = BuildSource(image=ImageSource(url="r/x:1"))
HERE = Context()


def over_http(server: Server | None = None, content: bytes = CONTENT, secret: str | None = None) -> BuildSource:
    url = f"{server.url}/c.tar.gz" if server else "https://files.example.com/c.tar.gz"
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return BuildSource(http=HttpSource(url=url, digest=digest, secret_ref=NameRef(name=secret) if secret else None))


@contextlib.contextmanager
def opened(tmp_path: Path, namespace: Namespace | None = None, **options: Any) -> Iterator[Sources]:
    sources = Sources(namespace or a_namespace(), tmp_path / "work", keep_secret=[].append, **options)
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


# --- revisions ------------------------------------------------------------------------------------------------------


async def test_revisions_are_the_pinned_digest_the_digest_of_the_bytes_or_the_image(tmp_path: Path) -> None:
    digest = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"

    with opened(tmp_path) as sources:
        found = [await sources.resolve("team", source) for source in (over_http(), CONFIG_MAP, SECRET, IMAGE)]

    assert [(one.revision, one.digest) for one in found] == [(digest, digest)] * 3 + [("r/x:1", None)]


@pytest.mark.parametrize(("source", "kind", "reason"), [
    (BuildSource(config_map=KeyRef(name="no", key="k")), NotReady, "ConfigMapNotFound"),
    (BuildSource(secret=KeyRef(name="no", key="k")), NotReady, "SecretNotFound"),
    (BuildSource(config_map=KeyRef(name="ctx", key="no")), NotReady, "KeyNotFound"),
    (BuildSource(secret=KeyRef(name="ctx", key="no")), NotReady, "KeyNotFound"),
    (BuildSource(config_map=KeyRef(name="text", key="c.tar.gz")), InvalidInput, "InvalidContext"),
    (over_http(secret="no"), NotReady, "SecretNotFound"),
    (over_http(secret="ctx"), NotReady, "SecretInvalid"),
    (BuildSource(), InvalidInput, "InvalidSpec"),
])
async def test_what_is_missing_or_of_the_wrong_kind_has_its_reason(source: BuildSource, kind: type, reason: str,
                                                                   tmp_path: Path) -> None:
    error = await failure_of(tmp_path, source)

    assert (type(error), getattr(error, "reason", None), "canary" in error.message) == (kind, reason, False)


async def test_a_missing_key_names_those_there_are_and_no_values(tmp_path: Path) -> None:
    error = await failure_of(tmp_path, BuildSource(secret=KeyRef(name="ctx", key="no")))

    assert "it has: c.tar.gz, other" in error.message


async def test_another_namespaces_objects_are_not_seen(tmp_path: Path) -> None:
    with opened(tmp_path) as sources, pytest.raises(NotReady):
        await sources.stage("other", SECRET, HERE, None)


# --- credentials ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("values", "header"), [
    ({"token": "abc"}, "Bearer abc"), ({"token": "abc\n"}, "Bearer abc"),
    ({"username": "u", "password": "p:q"}, "Basic dTpwOnE="),
    ({"username": "u", "password": "p", "ca.crt": "\x00"}, "Basic dTpw"),
])
async def test_credentials_become_one_header(values: dict[str, str], header: str) -> None:
    namespace = Namespace(secrets={"s": {"data": {key: encoded(value) for key, value in values.items()}}})

    kept: list[str] = []
    assert await authorization(namespace, "team", "s", kept.append) == header
    assert {header.split(" ")[1], values.get("password", "abc")} <= set(kept)


@pytest.mark.parametrize("values", [
    {}, {"username": "canary"}, {"password": "canary"}, {"token": "canary", "password": "canary"}, {"token": ""},
    {"token": "canary\r\nX-Evil: 1"}, {"token": "canaryé"}, {"username": "a:canary", "password": "p"},
    {"TOKEN": "canary"},
])
async def test_a_secret_of_another_shape_is_not_ready_and_not_shown(values: dict[str, str]) -> None:
    namespace = Namespace(secrets={"s": {"data": {key: encoded(value) for key, value in values.items()}}})

    with pytest.raises(NotReady) as caught:
        await authorization(namespace, "team", "s", [].append)

    error = caught.value
    assert (error.reason, "canary" in error.message, error.__cause__) == ("SecretInvalid", False, None)


async def test_a_secret_without_any_value_or_with_no_base64_is_invalid() -> None:
    for content in ({}, {"data": None}, {"data": {"token": "%%%"}}):
        with pytest.raises(NotReady, match="Secret 's'"):
            await authorization(Namespace(secrets={"s": content}), "team", "s", [].append)


# --- staging --------------------------------------------------------------------------------------------------------


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


async def test_the_same_content_from_anywhere_is_one_archive_until_the_last_lets_go(tmp_path: Path) -> None:
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
    error = await failure_of(tmp_path, CONFIG_MAP, limits=Limits(archive=100))

    assert getattr(error, "reason", None) == "ContextTooLarge"


def test_a_full_disk_is_tried_again() -> None:
    with pytest.raises(Unavailable, match="full"), full_disk_is_passing(), Path("/dev/full").open("wb") as full:
        full.write(CONTENT)


# --- together -------------------------------------------------------------------------------------------------------


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in other threads
            await asyncio.sleep(0.002)


@dataclass
class Gate:
    """A server that answers only when told to, and knows how many wait for it."""

    open: threading.Event = field(default_factory=threading.Event)
    waiting: int = 0
    most: int = 0

    async def answer(self, _request: web.Request) -> web.Response:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await until(self.open.is_set)
        self.waiting -= 1
        return web.Response(body=CONTENT)

    async def has(self, count: int) -> None:
        await until(lambda: self.waiting >= count)


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[tuple[Gate, Server, Sources]]:
    gate = Gate()
    with (
        serving(gate.answer) as server,
        opened(tmp_path, allowed_hosts=frozenset({server.host}), limits=Limits(at_once=2)) as sources,
    ):
        yield gate, server, sources
        gate.open.set()


async def test_equal_stagings_at_the_same_time_are_one(gate: tuple[Gate, Server, Sources], tmp_path: Path) -> None:
    door, server, sources = gate
    tasks = [asyncio.create_task(sources.stage("team", over_http(server), HERE, "quote")) for _ in range(5)]
    await door.has(1)
    door.open.set()
    staged = await asyncio.gather(*tasks)

    assert (len(server.asked), len({one.archive for one in staged})) == (1, 1)
    for one in staged:
        assert one.archive.exists()
        one.release()
    assert left_behind(tmp_path) == []


async def test_only_so_many_are_worked_on_at_once(gate: tuple[Gate, Server, Sources]) -> None:
    door, server, sources = gate
    contexts = [Context(path="./" * number or ".") for number in range(6)]
    tasks = [asyncio.create_task(sources.stage("team", over_http(server), context, None)) for context in contexts]
    await door.has(2)
    await asyncio.sleep(0.1)
    door.open.set()
    for staged in await asyncio.gather(*tasks):
        staged.release()

    assert (door.most, len(server.asked)) == (2, 6)


async def test_one_that_goes_away_does_not_disturb_the_others(gate: tuple[Gate, Server, Sources]) -> None:
    door, server, sources = gate
    leaver, stayer = [asyncio.create_task(sources.stage("team", over_http(server), HERE, None)) for _ in range(2)]
    await door.has(1)
    leaver.cancel()
    await asyncio.sleep(0.05)
    door.open.set()
    staged = await stayer

    assert (leaver.cancelled(), staged.archive.exists()) == (True, True)
    staged.release()


async def test_when_nobody_waits_any_more_the_work_stops_and_the_place_is_free(gate: tuple[Gate, Server, Sources],
                                                                               tmp_path: Path) -> None:
    door, server, sources = gate
    for _ in range(3):
        task = asyncio.create_task(sources.stage("team", over_http(server), HERE, None))
        await door.has(1)
        task.cancel()
        await asyncio.wait({task})
        await asyncio.sleep(0.05)
        door.waiting = 0

    assert left_behind(tmp_path) == []


async def test_a_staging_cancelled_in_its_thread_leaves_nothing(tmp_path: Path) -> None:
    with opened(tmp_path, a_namespace(a_tar_gz(AGENT | {f"quote/{n}": "x" * 1000 for n in range(3000)}))) as sources:
        task = asyncio.create_task(sources.stage("team", CONFIG_MAP, HERE, None))
        await until(lambda: bool(left_behind(tmp_path)))
        task.cancel()
        await asyncio.wait({task})
        await until(lambda: not left_behind(tmp_path))


async def test_an_error_reaches_everybody_who_waits(tmp_path: Path) -> None:
    with opened(tmp_path, a_namespace(b"x")) as sources:
        found = await asyncio.gather(*(sources.stage("team", CONFIG_MAP, HERE, None) for _ in range(3)),
                                     return_exceptions=True)

    assert [type(one) for one in found] == [InvalidInput] * 3


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


async def test_a_staging_whose_source_was_read_too_early_is_not_shared(tmp_path: Path) -> None:
    slow = Slowly(a_namespace().config_maps)
    with opened(tmp_path, slow) as sources:
        early = asyncio.create_task(sources.stage("team", CONFIG_MAP, HERE, None, 1.0))
        await until(lambda: bool(slow.asked))
        slow.config_maps["ctx"] = {"binaryData": {"c.tar.gz": encoded(a_tar_gz(AGENT | {"quote/new": ""}))}}
        late = [asyncio.create_task(sources.stage("team", CONFIG_MAP, HERE, None, 2.0)) for _ in range(2)]
        await until(lambda: len(slow.asked) > 1)
        slow.let.set()
        before, *after = await asyncio.gather(early, *late)

        assert slow.asked == [1.0, 2.0]
        assert [one.revision == before.revision for one in after] == [False, False]
        for one in (before, *after):
            one.release()
        assert left_behind(tmp_path) == []


async def test_a_staging_that_waits_for_its_place_reads_as_late_as_the_last_to_join_it_asks(tmp_path: Path) -> None:
    slow = Slowly(a_namespace().config_maps)
    with opened(tmp_path, slow, limits=Limits(at_once=1)) as sources:
        first = asyncio.create_task(sources.stage("team", CONFIG_MAP, Context(path="./."), None, 1.0))
        await until(lambda: bool(slow.asked))
        waiting = [asyncio.create_task(sources.stage("team", CONFIG_MAP, HERE, None, since)) for since in (2.0, 3.0)]
        await asyncio.sleep(0.05)
        slow.let.set()
        for one in await asyncio.gather(first, *waiting):
            one.release()

    assert slow.asked == [1.0, 3.0]


# --- manifests ------------------------------------------------------------------------------------------------------


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


async def test_a_manifest_remembered_for_one_namespace_is_not_shown_to_another(tmp_path: Path) -> None:
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


async def test_a_manifest_is_read_as_late_as_its_asker_wants(tmp_path: Path) -> None:
    slow = Slowly(a_namespace().config_maps)
    slow.let.set()
    with opened(tmp_path, slow) as sources:
        for since in (1.0, 2.0):
            await sources.manifest("team", CONFIG_MAP, HERE, since)

    assert sorted(set(slow.asked)) == [1.0, 2.0]


async def test_an_image_has_no_manifest(tmp_path: Path) -> None:
    with opened(tmp_path) as sources, pytest.raises(InvalidInput, match="has no manifest"):
        await sources.manifest("team", IMAGE, HERE)


# --- the work directory ---------------------------------------------------------------------------------------------

KILLED = """
import os, sys
from pathlib import Path
from agentex_operator.sources.workshop import Workshop
shop = Workshop(Path(sys.argv[1]))
with shop.bench() as bench:
    (bench / "half").write_text("x")
    os.kill(os.getpid(), 9)
"""


def test_what_a_killed_operator_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, tmp_path / "work"], check=False, env={"PYTHONPATH": "operator"})
    left = left_behind(tmp_path)

    with opened(tmp_path):
        assert (len(left), left_behind(tmp_path)) == (1, [])


async def test_an_operator_that_lives_keeps_what_is_its_own(tmp_path: Path) -> None:
    with opened(tmp_path) as first:
        staged: Staged = await first.stage("team", CONFIG_MAP, HERE, None)
        with opened(tmp_path):
            pass

        assert staged.archive.exists()


def test_the_work_directory_is_private(tmp_path: Path) -> None:
    with opened(tmp_path):
        assert [path.stat().st_mode & 0o777 for path in (tmp_path / "work").iterdir()] == [0o700]


def test_foreign_files_in_the_work_directory_stay(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "work/notes").write_text("mine")
    (tmp_path / "work/run-x").symlink_to(tmp_path / "elsewhere")

    with opened(tmp_path):
        assert ((tmp_path / "work/notes").exists(), (tmp_path / "elsewhere").exists()) == (True, True)
