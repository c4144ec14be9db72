"""Server-side request forgery (reliability.md §2f): what may not be asked is never connected to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from agentex_operator.core.errors import ExternalError, InvalidInput, Unavailable
from agentex_operator.sources.addresses import AddressPolicy, shown
from agentex_operator.sources.http import Downloader, Wanted

PUBLIC = "93.184.215.14"
DIGEST = "sha256:" + "0" * 64


class Nothing(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b""


@dataclass
class Outside:
    """A DNS and a network that write down what they are asked. A name answers its lists one after another."""

    names: dict[str, list[list[str]]] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    connected: list[tuple[str, str]] = field(default_factory=list)  # the address, and the name asked of it
    credentials: list[str | None] = field(default_factory=list)

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        answers = self.names.get(host, [[PUBLIC]])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def answer(self, request: httpx.Request) -> httpx.Response:
        name = request.headers["Host"]
        assert name.partition(":")[0] == request.extensions["sni_hostname"] or name.startswith("[")
        self.connected.append((request.url.host, name))
        self.credentials.append(request.headers.get("Authorization"))
        target = self.redirects.get(f"{request.url.scheme}://{name}{request.url.path}")
        return httpx.Response(302, headers={"Location": target}) if target else httpx.Response(200, stream=Nothing())

    async def fetch(self, url: str, tmp_path: Path, *allowed: str) -> ExternalError:
        """What stops the download; the content never fits its digest."""
        policy = AddressPolicy(frozenset(allowed), self.resolve)
        downloader = Downloader(policy, transport=lambda: httpx.MockTransport(self.answer))
        with pytest.raises(ExternalError) as caught:
            await downloader.download(Wanted(url, DIGEST, 1000, "Bearer canary"), tmp_path / "out")
        return caught.value


PRIVATE = [
    "0.0.0.0",  # noqa: S104 - to be refused
    "127.0.0.1", "127.8.8.8", "10.0.0.1", "10.96.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "169.254.170.2", "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.0.2.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "192.88.99.1", "::", "::1", "fd12::1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1",
    "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:93.184.215.14", "::127.0.0.1", "64:ff9b::169.254.169.254",
    "64:ff9b::10.0.0.1", "64:ff9b:1::1", "2002:a9fe:a9fe::1", "2002:0a00:0001::1", "2001:0:a9fe:a9fe::1", "2001:db8::1",
    "100::1", "3fff::1",
]
URLS = [
    "http://files.example.com/c.tar.gz", "ftp://files.example.com/c", "file:///etc/passwd", "gopher://a.example.com/_x",
    "data:text/plain,x", "unix:///run/docker.sock", "//files.example.com/c", "files.example.com/c", "https:///c",
    "https://", "https:files.example.com/c", "javascript:alert(1)", "HTTP://FILES.EXAMPLE.COM/C",
    # names
    "https://localhost/c", "https://LOCALHOST/c", "https://a.localhost/c", "https://metadata.google.internal/c",
    "https://metadata/c", "https://kubernetes/c", "https://kubernetes.default/c", "https://kubernetes.default.svc/c",
    "https://kubernetes.default.svc.cluster.local/c", "https://web.team-a.svc/c", "https://web.team-a.svc.example.com/c",
    "https://printer.local/c", "https://files.example.com./c", "https://metadata.google.internal./c",
    "https://files..example.com/c", "https://.example.com/c", "https://-a.example.com/c", "https://host_name/c",
    # other spellings of addresses
    "https://2852039166/c", "https://0xa9fea9fe/c", "https://0xa9.0xfe.0xa9.0xfe/c", "https://0251.0376.0251.0376/c",
    "https://169.254.43518/c", "https://169.16689662/c", "https://127.1/c", "https://127.0.1/c", "https://0/c",
    "https://0x7f.1/c", "https://017700000001/c", "https://169.254.169.254./c", "https://1.2.3.4.5/c",
    "https://169.254.169.0xfe/c", "https://[fe80::1%25eth0]/c", "https://[::ffff:a9fe:a9fe]/c", "https://[::1/c",
    # parsers that disagree
    "https://ok@169.254.169.254/c", "https://files.example.com@127.0.0.1/c", "https://user:canary@files.example.com/c",
    "https://files.example.com\\@127.0.0.1/c", "https://127.0.0.1\\.files.example.com/c",
    "https://127.0.0.1#.files.example.com/c", "https://127.0.0.1?.files.example.com/c", "https://files.example.com#@x/c",
    "https://files.example.com /c", "https://files.example.com\t/c", "https://files.example.com/\r\nHost: x",
    "https://127.0.0.1%2f.example.com/c", "https://127%2e0%2e0%2e1/c", " https://files.example.com/c",
    "https://ⓛocalhost/c", "https://169。254。169。254/c", "https://\uff11\uff12\uff17.0.0.1/c", "https://bücher.example.com/c",
    # ports
    "https://files.example.com:22/c", "https://files.example.com:6443/c", "https://files.example.com:10250/c",
    "https://files.example.com:80/c", "https://files.example.com:0/c", "https://files.example.com:99999/c",
    "https://files.example.com:-1/c", "https://files.example.com:x/c", "https://files.example.com:443:22/c",
]


@pytest.mark.parametrize("url", URLS)
async def test_a_url_of_this_shape_is_refused_without_a_connection(url: str, tmp_path: Path) -> None:
    outside = Outside()

    error = await outside.fetch(url, tmp_path)

    assert (type(error), outside.connected, getattr(error, "reason", "")) == (InvalidInput, [], "InvalidURL")


@pytest.mark.parametrize("address", PRIVATE)
async def test_an_address_that_is_not_public_is_refused_as_a_literal(address: str, tmp_path: Path) -> None:
    outside = Outside()

    error = await outside.fetch(f"https://[{address}]/c" if ":" in address else f"https://{address}/c", tmp_path)

    assert (getattr(error, "reason", ""), outside.connected) == ("InvalidURL", [])


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_name_that_leads_to_such_an_address_is_refused_even_beside_a_public_one(address: str, tmp_path: Path
                                                                                       ) -> None:
    outside = Outside({"alone.example.com": [[address]], "both.example.com": [[PUBLIC, address]]})

    errors = [await outside.fetch(f"https://{name}/c", tmp_path) for name in outside.names]

    assert ([getattr(error, "reason", "") for error in errors], outside.connected) == (["InvalidURL"] * 2, [])


async def test_the_address_that_was_judged_is_the_one_connected_to_whatever_the_dns_says_next(tmp_path: Path) -> None:
    outside = Outside({"rebinding.example.com": [[PUBLIC], ["127.0.0.1"]]})

    await outside.fetch("https://rebinding.example.com/c", tmp_path)

    assert outside.connected == [(PUBLIC, "rebinding.example.com")]


@pytest.mark.parametrize("target", [
    "https://169.254.169.254/latest", "https://internal.example.com/c", "http://files.example.com/c", "//127.0.0.1/c",
    "file:///etc/passwd", "https://files.example.com:6443/c", "https://[::1]/c", "https://user:pw@b.example.com/c",
    "\\x",
])
async def test_a_redirect_is_judged_like_the_first_address(target: str, tmp_path: Path) -> None:
    outside = Outside({"internal.example.com": [["10.0.0.1"]]}, {"https://files.example.com/c": target})

    error = await outside.fetch("https://files.example.com/c", tmp_path)

    assert (getattr(error, "reason", ""), outside.connected) == ("InvalidURL", [(PUBLIC, "files.example.com")])


async def test_a_chain_of_redirects_is_judged_at_its_end_and_followed_three_times_at_most(tmp_path: Path) -> None:
    chain = {f"https://files.example.com/{hop}": f"/{hop + 1}" for hop in range(9)}
    outside = Outside(redirects=chain)

    error = await outside.fetch("https://files.example.com/0", tmp_path)

    assert (getattr(error, "reason", ""), len(outside.connected)) == ("InvalidURL", 4)


async def test_credentials_go_to_the_first_origin_only(tmp_path: Path) -> None:
    outside = Outside(redirects={"https://a.example.com/c": "/d", "https://a.example.com/d": "https://b.example.com/e",
                                 "https://b.example.com/e": "https://a.example.com:8443/f"})

    await outside.fetch("https://a.example.com/c", tmp_path)

    assert outside.credentials == ["Bearer canary", "Bearer canary", None, None]


@pytest.mark.parametrize("url", ["https://93.184.215.14/c", "https://[2606:4700::1111]/c", "https://FILES.example.com/c",
                                 "https://files.example.com:8443/c?token=x", "https://[64:ff9b::93.184.215.14]/c"])
async def test_public_addresses_are_asked(url: str, tmp_path: Path) -> None:
    outside = Outside()

    error = await outside.fetch(url, tmp_path)

    assert (len(outside.connected), getattr(error, "reason", "")) == (1, "DigestMismatch")


@pytest.mark.parametrize("allowed", ["127.0.0.1:8080", "[::1]:8080", "artifacts.svc:8080"])
async def test_the_operators_owner_may_vouch_for_a_host_and_port(allowed: str, tmp_path: Path) -> None:
    outside = Outside({"artifacts.svc": [["10.0.0.9"]]})

    await outside.fetch(f"http://{allowed}/c", tmp_path, allowed)
    await outside.fetch(f"http://{allowed[:-4]}8081/c", tmp_path, allowed)

    assert [name for _, name in outside.connected] == [allowed]


async def test_nobody_can_vouch_for_link_local_addresses(tmp_path: Path) -> None:
    outside = Outside({"a.example.com": [["169.254.169.254"]]})

    error = await outside.fetch("http://a.example.com:80/c", tmp_path, "a.example.com:80")

    assert (getattr(error, "reason", ""), outside.connected) == ("InvalidURL", [])


async def test_a_name_that_does_not_resolve_may_do_so_later(tmp_path: Path) -> None:
    async def fails(_host: str, _port: int) -> Sequence[str]:
        raise OSError(-2, "Name or service not known")

    with pytest.raises(Unavailable):
        await AddressPolicy(resolve=fails).judge("https://files.example.com/c")


@pytest.mark.parametrize(("url", "safe"), [
    ("https://user:canary@h/p?sig=canary#canary", "https://h/p"), ("https://h/p;x", "https://h/p;x"),
    ("https://h?canary@x", "https://h"), ("no url at all", "no url at all"),
])
def test_a_url_is_shown_without_what_may_be_secret(url: str, safe: str) -> None:
    assert shown(url) == safe
