"""Downloads from real servers: bounded in bytes and time, pinned by digest, and what each answer means."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from tests.sources.servers import Answer, Server, serving

from agentex_operator.core.errors import ExternalError, InvalidInput, NotReady, Unavailable
from agentex_operator.sources.addresses import AddressPolicy
from agentex_operator.sources.download import Downloaded, Downloader, DownloadRequest, Timeouts

BODY = b"0123456789" * 100_000


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


async def download(server: Server, out: Path, *, url: str = "/c.tar.gz", digest: str = digest_of(BODY),
                   largest: int = 10**7, timeouts: Timeouts | None = None) -> int:
    downloader = Downloader(AddressPolicy(frozenset({server.host})), timeouts or Timeouts(whole=10))
    request = DownloadRequest(server.url + url, digest, largest, "Bearer canary")
    return size_of(await downloader.download(request, out / "file"))


def size_of(found: Downloaded | None) -> int:
    assert found is not None
    return found.size


async def failure(answer: Answer, out: Path, *, digest: str = digest_of(BODY), largest: int = 10**7,
                  timeouts: Timeouts | None = None) -> ExternalError:
    with serving(answer) as server, pytest.raises(ExternalError) as caught:
        await download(server, out, url="/c.tar.gz?sig=canary", digest=digest, largest=largest, timeouts=timeouts)
    assert "canary" not in caught.value.message
    return caught.value


async def body(_request: web.Request) -> web.Response:
    return web.Response(body=BODY)


async def streamed(request: web.Request) -> web.StreamResponse:
    """Without a Content-Length, for ever."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(bytes(100_000))


def raw(head: bytes, rest: bytes = b"") -> Answer:
    """An answer byte by byte as given, and then the end of the connection."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(head + rest)
        await asyncio.sleep(0.05)
        request.transport.close()
        return web.Response()

    return answer


async def test_the_archive_arrives_whole_with_its_credentials(tmp_path: Path) -> None:
    with serving(body) as server:
        size = await download(server, tmp_path)

    assert (size, (tmp_path / "file").read_bytes() == BODY) == (10**6, True)
    assert server.asked == [("/c.tar.gz", "Bearer canary")]


async def test_content_with_another_digest_is_refused_with_both_digests(tmp_path: Path) -> None:
    wanted = digest_of(b"other")

    error = await failure(body, tmp_path, digest=wanted)

    assert isinstance(error, InvalidInput)
    assert (error.reason, wanted in error.message, digest_of(BODY) in error.message) == ("DigestMismatch", True, True)


@pytest.mark.parametrize(("largest", "fits"), [(10**6 - 1, False), (10**6, True), (10**6 + 1, True)])
async def test_the_size_limit_of_a_download_is_exact(largest: int, fits: bool, tmp_path: Path) -> None:
    async def chunked(_request: web.Request) -> web.Response:
        response = web.Response(body=BODY)
        response.enable_chunked_encoding()
        return response

    error = None if fits else await failure(chunked, tmp_path, largest=largest)
    if fits:
        with serving(chunked) as server:
            assert await download(server, tmp_path, largest=largest) == 10**6
    assert getattr(error, "reason", None) == (None if fits else "ContextTooLarge")


async def test_an_endless_body_stops_at_the_limit(tmp_path: Path) -> None:
    error = await failure(streamed, tmp_path, largest=1_000_000)

    assert (getattr(error, "reason", ""), (tmp_path / "file").stat().st_size <= 1_000_000) == ("ContextTooLarge", True)


async def test_an_announced_size_beyond_the_limit_is_refused_before_a_byte_is_read(tmp_path: Path) -> None:
    error = await failure(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"), tmp_path)

    assert (getattr(error, "reason", ""), (tmp_path / "file").exists()) == ("ContextTooLarge", False)


@pytest.mark.parametrize(("head", "expected"), [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", Unavailable),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", InvalidInput),
    (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", Unavailable),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", Unavailable),
    (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n", Unavailable),
    (b"SSH-2.0-OpenSSH_9.0\r\n", Unavailable),
], ids=["too long a length", "too short a length", "no length", "a chunk too large", "endless headers", "not http"])
async def test_a_misleading_answer_is_never_taken_for_the_archive(head: bytes, expected: type, tmp_path: Path) -> None:
    assert type(await failure(raw(head, b"0123456789"), tmp_path)) is expected


async def test_a_content_encoding_is_not_decoded(tmp_path: Path) -> None:
    async def labelled(_request: web.Request) -> web.Response:
        return web.Response(body=BODY, headers={"Content-Encoding": "gzip"})

    with serving(labelled) as server:
        assert await download(server, tmp_path) == len(BODY)


async def test_content_that_has_not_changed_is_not_sent_again(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.headers.get("If-None-Match") == '"v1"':
            return web.Response(status=304)
        return web.Response(body=BODY, headers={"ETag": '"v1"'})

    with serving(answer) as server:
        downloader = Downloader(AddressPolicy(frozenset({server.host})))
        request = DownloadRequest(f"{server.url}/c.tar.gz", None, 10**7)
        first = await downloader.download(request, tmp_path / "first")
        assert first is not None
        again = await downloader.download(replace(request, unless=first.validators), tmp_path / "again")

    assert (first.digest, again, (tmp_path / "again").exists()) == (digest_of(BODY), None, False)


@pytest.mark.parametrize(("status", "kind", "reason"), [
    (404, NotReady, "SourceNotFound"), (410, NotReady, "SourceNotFound"), (401, NotReady, "SourceUnauthorized"),
    (403, NotReady, "SourceUnauthorized"), (400, InvalidInput, "SourceRejected"), (422, InvalidInput, "SourceRejected"),
    (204, InvalidInput, "SourceRejected"), (304, InvalidInput, "SourceRejected"), (408, Unavailable, None),
    (429, Unavailable, None), (500, Unavailable, None), (503, Unavailable, None),
])
async def test_each_status_means_one_thing(status: int, kind: type, reason: str | None, tmp_path: Path) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status)

    error = await failure(answer, tmp_path)

    assert (type(error), getattr(error, "reason", None)) == (kind, reason)


async def test_a_slow_body_ends_at_the_whole_deadline(tmp_path: Path) -> None:
    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.05)

    error = await failure(trickle, tmp_path, timeouts=Timeouts(whole=0.4))

    assert "within 0.4 s" in error.message


async def test_a_silent_server_ends_at_the_idle_deadline(tmp_path: Path) -> None:
    async def silent(_request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    error = await failure(silent, tmp_path, timeouts=Timeouts(idle=0.2))

    assert isinstance(error, Unavailable)


async def test_a_port_without_a_listener_is_unavailable(tmp_path: Path) -> None:
    with serving(body) as server:
        pass

    with pytest.raises(Unavailable, match="no connection"):
        await download(server, tmp_path)


async def test_a_redirect_within_the_same_server_is_followed(tmp_path: Path) -> None:
    async def moved(request: web.Request) -> web.Response:
        if request.path == "/c.tar.gz":
            raise web.HTTPFound("/real.tar.gz")
        return web.Response(body=BODY)

    with serving(moved) as server:
        assert await download(server, tmp_path) == len(BODY)


async def test_no_proxy_of_the_environment_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    with serving(body) as server:
        assert await download(server, tmp_path) == len(BODY)


# --- TLS to an address, for a name ----------------------------------------------------------------------------------


def a_certificate(tmp_path: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """A certificate that vouches for itself, and a server's context with it."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "1", "-subj", "/CN=test", "-addext", f"subjectAltName=DNS:{name}", "-keyout", key,
                    "-out", certificate], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return certificate, context


async def over_tls(server: Server, out: Path, trusted: Path | None) -> int:
    """Downloads from `files.example.com`, which the DNS says is the server."""
    async def resolve(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    name = f"files.example.com:{server.port}"
    trust = ssl.create_default_context(cafile=trusted) if trusted else ssl.create_default_context()
    downloader = Downloader(AddressPolicy(frozenset({name}), resolve),
                            transport=lambda: httpx.AsyncHTTPTransport(verify=trust, trust_env=False))
    request = DownloadRequest(f"https://{name}/c", digest_of(BODY), 10**7)
    return size_of(await downloader.download(request, out / "file"))


async def test_the_certificate_must_be_for_the_name_though_the_connection_goes_to_the_address(tmp_path: Path) -> None:
    certificate, tls = await asyncio.to_thread(a_certificate, tmp_path, "files.example.com")

    with serving(body, tls) as server:
        assert await over_tls(server, tmp_path, certificate) == len(BODY)


@pytest.mark.parametrize(("name", "is_trusted"), [("files.example.com", False), ("other.example.com", True)])
async def test_another_certificate_is_not_accepted(name: str, is_trusted: bool, tmp_path: Path) -> None:
    certificate, tls = await asyncio.to_thread(a_certificate, tmp_path, name)

    with serving(body, tls) as server:
        with pytest.raises(Unavailable, match="certificate"):
            await over_tls(server, tmp_path, certificate if is_trusted else None)

        assert server.asked == []
