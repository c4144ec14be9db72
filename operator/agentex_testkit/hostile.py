"""Malicious build contexts: archives, manifests, and an HTTP server that sends wrong answers."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from agentex_testkit.builders import DOCKERFILE, a_manifest

LIMIT = 500_000_000
NAMES = ("Dockerfile", "manifest.yaml", "project/acp.py")

# --- archives -------------------------------------------------------------------------------------------------------


def a_member(name: str, content: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """One entry; `type`, `linkname` and the like as in tarfile."""
    member = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(member, field, value)
    member.size = len(content)
    return member, content


def good(agent: str, manifest: str | None = None) -> list[tuple[tarfile.TarInfo, bytes]]:
    """The entries of a context that would build."""
    texts = (DOCKERFILE, a_manifest(agent) if manifest is None else manifest, "print()\n")
    return [a_member(name, text.encode()) for name, text in zip(NAMES, texts, strict=True)]


def packed(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A tar.gz of these entries."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for member, content in members:
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def with_manifest(text: str) -> Callable[[str], bytes]:
    """A context whose manifest is this text."""
    return lambda agent: packed(*good(agent, text))


def beside(*members: tuple[tarfile.TarInfo, bytes]) -> Callable[[str], bytes]:
    """A good context with these entries too."""
    return lambda agent: packed(*good(agent), *members)


def without(name: str) -> Callable[[str], bytes]:
    """A good context that lacks a file."""
    return lambda agent: packed(*(one for one in good(agent) if one[0].name != name))


def a_zip(agent: str) -> bytes:
    """A zip where a tar.gz is expected."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("manifest.yaml", a_manifest(agent))
    return out.getvalue()


def a_bomb(_agent: str) -> bytes:
    """100 MB of nothing in 100 KB."""
    return packed(a_member("project/zeros", bytes(100_000_000)))


def cut_short(agent: str) -> bytes:
    """The first half of a good archive."""
    whole = packed(*good(agent))
    return whole[: len(whole) // 2]


def two_in_one(agent: str) -> bytes:
    """Two archives, one after the other."""
    return packed(*good(agent)) + packed(a_member("other", b"x"))


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{here}: &{here} [{','.join([f'*{before}'] * 9)}]\n" for before, here in zip("abcdefgh", "bcdefghi", strict=True)
)
DEEP = "agent: " + "[" * 100_000

# --- a server -------------------------------------------------------------------------------------------------------


class SourceServer:
    """Serves bytes and wrong answers on the loopback; `asked` has the path and the headers of each request."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.sent = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append((self.path, dict(self.headers)))
                with suppress(OSError):  # whoever asked has heard enough
                    server.answer(self)

            do_POST = do_GET  # noqa: N815 - the name http.server wants

            def log_message(self, *_: object) -> None:
                pass

        self._handler = Handler
        self._server: ThreadingHTTPServer | None = None

    @property
    def host(self) -> str:
        """HOST:PORT, as --allowed-source-hosts takes it."""
        return f"127.0.0.1:{self._server.server_port if self._server else 0}"

    def source(self, path: str, content: bytes | None = None, **more: Any) -> dict[str, Any]:
        """A `spec.source` for a path here, pinned to the content."""
        digest = hashlib.sha256(content or b"").hexdigest()
        return {"http": {"url": f"http://{self.host}{path}", "digest": f"sha256:{digest}", **more}}

    def serve(self, path: str, content: bytes) -> dict[str, Any]:
        """Serve this content there; the `spec.source` for it."""
        self.files[path] = content
        return self.source(path, content)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer as the path says: /status/N, /truncated, /huge, /endless, or a file."""
        lies = {"/truncated": self._truncated, "/huge": self._huge, "/endless": self._endless}
        path = request.path.partition("?")[0]
        if path.startswith("/status/"):
            _head(request, int(path.rpartition("/")[2]), 0)
        elif path in lies:
            lies[path](request)
        else:
            _head(request, 200 if path in self.files else 404, len(self.files.get(path, b"")))
            request.wfile.write(self.files.get(path, b""))

    def _truncated(self, request: BaseHTTPRequestHandler) -> None:
        _head(request, 200, 1000)
        request.wfile.write(b"\x1f\x8b")

    def _huge(self, request: BaseHTTPRequestHandler) -> None:
        _head(request, 200, LIMIT + 1)

    def _endless(self, request: BaseHTTPRequestHandler) -> None:
        """Without a length the first time; whoever asks again is told it."""
        if self.sent:
            return self._huge(request)
        request.send_response(200)
        request.end_headers()
        block = bytes(1 << 20)
        while True:
            request.wfile.write(block)
            self.sent += len(block)

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()


def _head(request: BaseHTTPRequestHandler, status: int, length: int) -> None:
    request.send_response(status)
    request.send_header("Content-Length", str(length))
    request.end_headers()
