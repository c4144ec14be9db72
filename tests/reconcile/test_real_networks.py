"""A private CA and a proxy, as the whole operator meets them: real TLS servers, a CA of the test, a real proxy."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from tests.network.authority import Authority
from tests.network.proxy_server import ProxyServer, proxying
from tests.reconcile.conftest import MakeHarness
from tests.sources.archives import a_tar_gz
from tests.sources.servers import Server, serving

from agentex_testkit.api_server import Object, condition, says
from agentex_testkit.builders import DOCKERFILE, KEY, a_build, a_manifest, a_secret, an_account
from agentex_testkit.harness import Harness

GOOD = a_tar_gz({"manifest.yaml": a_manifest(), "Dockerfile": DOCKERFILE, "project/acp.py": "print()\n"})
REMOTE, FILES = "agentex.example.net", "files.example.net"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another authority, which vouches for none of the servers."""
    return Authority.create(tmp_path_factory.mktemp("stranger"), "stranger")


async def answer(request: web.Request) -> web.Response:
    """The archive, or an empty page of builds."""
    return web.Response(body=GOOD) if request.path.endswith(".tar.gz") else web.json_response(
        {"items": [], "has_more": False})


@pytest.fixture
def server(authority: Authority) -> Iterator[Server]:
    """A TLS server with a certificate of the authority, which only those who trust the authority accept."""
    names = ("IP:127.0.0.1", f"DNS:{REMOTE}", f"DNS:{FILES}")
    with serving(answer, authority.server(*names)) as made:
        yield made


def a_secret_with_ca(authority: Authority, name: str = "agentex") -> Object:
    return {**a_secret(name), "stringData": {"api-key": KEY, "ca.crt": authority.certificate.read_text()}}


def over_https(host: str, **more: object) -> Object:
    digest = f"sha256:{hashlib.sha256(GOOD).hexdigest()}"
    return a_build(source={"http": {"url": f"https://{host}/c.tar.gz", "digest": digest, **more}})


async def is_unreachable(harness: Harness) -> None:
    await harness.wait("AgentexAccount", "default", says("Ready", "False", "RemoteUnavailable"))


def staged(obj: Object | None) -> bool:
    """Whether the source was read: the remote of these tests takes no build."""
    return condition(obj, "SourceReady")["status"] == "True" if obj and obj.get("status") else False


# --- a private CA -----------------------------------------------------------------------------------------------------


async def test_an_account_is_ready_once_its_secret_has_the_ca(
    make_harness: MakeHarness, server: Server, authority: Authority, stranger: Authority
) -> None:
    harness = make_harness()
    async with harness.running():
        harness.apply(a_secret(), an_account(f"https://{server.host}"))
        await is_unreachable(harness)
        harness.apply(a_secret_with_ca(stranger))
        await is_unreachable(harness)
        assert server.asked == []

        harness.apply(a_secret_with_ca(authority))
        await harness.wait("AgentexAccount", "default", within=900)

        harness.apply(a_secret_with_ca(stranger))
        await harness.wait("AgentexAccount", "default", says("Ready", "False", "RemoteUnavailable"), within=900)


async def test_a_certificate_below_the_root_may_be_the_trusted_one(
    make_harness: MakeHarness, server: Server, authority: Authority
) -> None:
    harness = make_harness()
    async with harness.running():
        own = (authority.folder / f"{authority.name}-server.pem").read_text()
        harness.apply({**a_secret(), "stringData": {"api-key": KEY, "ca.crt": own}},
                      an_account(f"https://{server.host}"))

        await harness.wait("AgentexAccount", "default", within=900)


async def test_a_ca_that_is_no_certificate_is_said_to_be_so(make_harness: MakeHarness, server: Server) -> None:
    harness = make_harness()
    async with harness.running():
        secret = {**a_secret(), "stringData": {"api-key": KEY, "ca.crt": "-----BEGIN CERTIFICATE-----\nx"}}
        harness.apply(secret, an_account(f"https://{server.host}"))

        found = await harness.wait("AgentexAccount", "default", says("Ready", "False", "SecretInvalid"))

    assert "'ca.crt'" in condition(found, "Ready")["message"]


async def test_a_renewed_bundle_is_used_without_a_restart(
    make_harness: MakeHarness, server: Server, authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(stranger.certificate.read_bytes())
    harness = make_harness(ca_bundle=bundle)
    async with harness.running():
        harness.apply(a_secret(), an_account(f"https://{server.host}"))
        await is_unreachable(harness)

        bundle.write_bytes(stranger.certificate.read_bytes() + authority.certificate.read_bytes())
        await harness.wait("AgentexAccount", "default", within=900)

        bundle.write_text("half a file")
        await harness.advance(900)
        await harness.wait("AgentexAccount", "default")


async def test_ssl_cert_file_of_the_environment_is_trusted(
    make_harness: MakeHarness, server: Server, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    harness = make_harness()
    async with harness.running():
        harness.apply(a_secret(), an_account(f"https://{server.host}"))

        await harness.wait("AgentexAccount", "default")


async def test_a_source_behind_a_private_ca_is_read_once_its_secret_has_the_ca(
    make_harness: MakeHarness, server: Server, authority: Authority
) -> None:
    harness = make_harness(allowed_source_hosts=(server.host,))
    async with harness.running():
        await harness.with_account()
        harness.apply(a_secret_of("login", bearerToken=b"canary"), over_https(server.host, secretRef={"name": "login"}))
        await harness.wait("AgentBuild", "quote", says("Ready", "False", "RemoteUnavailable"))
        assert server.asked == []

        harness.apply(a_secret_of("login", **{"bearerToken": b"canary", "ca.crt": authority.certificate.read_bytes()}))
        await harness.wait("AgentBuild", "quote", within=1200)

    assert {header for _, header in server.asked} == {"Bearer canary"}


async def test_a_source_whose_secret_has_a_ca_alone_is_asked_without_a_credential(
    make_harness: MakeHarness, server: Server, authority: Authority
) -> None:
    harness = make_harness(allowed_source_hosts=(server.host,))
    async with harness.running():
        await harness.with_account()
        harness.apply(a_secret_of("login", **{"ca.crt": authority.certificate.read_bytes()}),
                      over_https(server.host, secretRef={"name": "login"}))
        await harness.wait("AgentBuild", "quote", within=1200)

    assert {header for _, header in server.asked} == {None}


def a_secret_of(name: str, **values: bytes) -> Object:
    data = {key: base64.b64encode(value).decode() for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}


# --- a proxy ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProxyServer]:
    """The proxy of the environment, to the TLS server."""
    with proxying(server.port) as made:
        for name in ("HTTPS_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(name, made.url)
        monkeypatch.setenv("NO_PROXY", "10.0.0.0/8,.svc")
        yield made


async def test_the_remote_api_and_sources_are_asked_by_the_proxy(
    make_harness: MakeHarness, proxy: ProxyServer, authority: Authority
) -> None:
    harness = make_harness(allowed_endpoints=(REMOTE, "127.0.0.1:*"), ca_bundle=authority.certificate)
    async with harness.running():
        await harness.with_account()  # the simulator is on the loopback, for which no proxy is used
        harness.apply(an_account(f"https://{REMOTE}", "remote"), over_https(FILES))
        await harness.wait("AgentexAccount", "remote")
        await harness.wait("AgentBuild", "quote", within=1200)

    assert set(proxy.asked) == {f"CONNECT {REMOTE}:443", f"CONNECT {FILES}:443"}


async def test_a_private_address_in_a_url_is_refused_although_a_proxy_is_in_between(
    make_harness: MakeHarness, proxy: ProxyServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "")
    harness = make_harness(allowed_endpoints=("192.168.0.7", "127.0.0.1:*"), ca_bundle=authority.certificate)
    async with harness.running():
        await harness.with_account()
        harness.apply(an_account("https://192.168.0.7", "remote"), over_https("10.0.0.7"))
        await harness.wait("AgentBuild", "quote", says("Stalled", "True", "InvalidURL"))
        await harness.wait("AgentexAccount", "remote", says("Stalled", "True", "EndpointNotAllowed"))

    assert proxy.asked == []


async def test_a_certificate_behind_a_proxy_that_is_not_trusted_is_named_and_not_the_proxy(
    make_harness: MakeHarness, proxy: ProxyServer
) -> None:
    harness = make_harness(allowed_endpoints=(REMOTE, "127.0.0.1:*"))
    async with harness.running():
        await harness.with_account()
        harness.apply(an_account(f"https://{REMOTE}", "remote"), over_https(FILES))
        said = [await harness.wait(kind, name, says("Ready", "False", "RemoteUnavailable"))
                for kind, name in (("AgentexAccount", "remote"), ("AgentBuild", "quote"))]

    messages = [condition(one, "Ready")["message"] for one in said]
    assert [("certificate" in one, "PROXY" in one) for one in messages] == [(True, False)] * 2, messages


async def test_a_proxy_that_asks_for_a_password_is_named(
    make_harness: MakeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxying(0) as proxy:
        proxy.refusal = b"407 Proxy Authentication Required"
        for name in ("HTTPS_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(name, proxy.url.replace("//", "//user:canary@"))
        harness = make_harness(allowed_endpoints=(REMOTE, "127.0.0.1:*"), allowed_source_hosts=(f"{FILES}:80",))
        async with harness.running():
            await harness.with_account()
            digest = "sha256:" + "0" * 64
            harness.apply(an_account(f"https://{REMOTE}", "remote"), an_account(f"http://{REMOTE}", "plain"),
                          over_https(FILES),
                          a_build("other", source={"http": {"url": f"http://{FILES}/c.tar.gz", "digest": digest}}))
            said = [await harness.wait(kind, name, says("Ready", "False", "RemoteUnavailable")) for kind, name in (
                ("AgentexAccount", "remote"), ("AgentexAccount", "plain"), ("AgentBuild", "quote"),
                ("AgentBuild", "other"))]

    messages = [condition(one, "Ready")["message"] for one in said]
    assert ["HTTPS_PROXY" in one for one in messages] == [True] * 4, messages
    assert "canary" not in str(messages)


# --- the address of an endpoint ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("entry", "endpoint"), [("127.0.0.1", "http://127.0.0.1"), ("*:*", "http://127.0.0.1:{port}"),
                                                 ("localhost", "http://localhost"), ("*", "http://10.0.0.7")])
async def test_an_entry_without_a_host_and_a_port_allows_no_private_address(
    make_harness: MakeHarness, entry: str, endpoint: str
) -> None:
    harness = make_harness(allowed_endpoints=(entry,))
    async with harness.running():
        port = harness.simulator.url.rpartition(":")[2]
        harness.apply(a_secret(), an_account(endpoint.format(port=port)))

        found = await harness.wait("AgentexAccount", "default", says("Stalled", "True", "EndpointNotAllowed"))

    assert "HOST:PORT" in condition(found, "Ready")["message"]
    assert harness.simulator.calls() == []


# --- what a server may say in a status --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 503])
async def test_the_body_of_another_servers_error_is_in_no_status(
    make_harness: MakeHarness, status: int
) -> None:
    harness = make_harness()
    async with harness.running():
        harness.simulator.fault("status", status=status, body="<html>canary-of-an-internal-page</html>", forever=True,
                                content_type="text/html")
        harness.apply(a_secret(), an_account(harness.simulator.url))
        found = await harness.wait("AgentexAccount", "default", says("Ready", "False"))
        harness.simulator.clear_faults()

    said = condition(found, "Ready")["message"]
    assert ("canary" in str(found["status"]), str(status) in said, "text/html" in said) == (False, True, True)


async def test_a_credential_in_a_build_log_is_not_in_the_status(harness: Harness) -> None:
    secrets = ("ghp_canary0123456789abcdefghij", "password=canary", "https://me:canary@example.com/x",
               "'Authorization: Bearer canary0123456789'")
    dockerfile = "FROM scratch\n" + "".join(f"RUN echo {secret}\n" for secret in secrets) + "RUN exit 3\n"
    archive = a_tar_gz({"manifest.yaml": a_manifest(), "Dockerfile": dockerfile, "project/acp.py": "print()\n"})
    harness.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "quote"},
                   "binaryData": {"context.tar.gz": base64.b64encode(archive).decode()}}, a_build())

    await harness.until(lambda: "logTail" in harness.status("AgentBuild", "quote"), within=1200)

    tail = harness.status("AgentBuild", "quote")["logTail"]
    assert ("RUN echo" in tail, "canary" in str(harness.status("AgentBuild", "quote"))) == (True, False)
