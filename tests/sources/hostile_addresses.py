"""Addresses that must not be asked (reliability.md §2f), and a world outside that writes down what it is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from agentex_operator.core.errors import ExternalError
from agentex_operator.sources.addresses import AddressPolicy
from agentex_operator.sources.download import Downloader, DownloadRequest

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
        try:
            await downloader.download(DownloadRequest(url, DIGEST, 1000, "Bearer canary"), tmp_path / "out")
        except ExternalError as error:
            return error
        raise AssertionError("a content of another digest was accepted")


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
REDIRECTS = [
    "https://169.254.169.254/latest", "https://internal.example.com/c", "http://files.example.com/c", "//127.0.0.1/c",
    "file:///etc/passwd", "https://files.example.com:6443/c", "https://[::1]/c", "https://user:pw@b.example.com/c",
    "\\x",
]
