"""Archives for tests, honest ones and ones that no tar would write."""

from __future__ import annotations

import gzip
import io
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from agentex_operator.core.errors import InvalidInput
from agentex_operator.sources.archive import read_tree
from agentex_operator.sources.limits import ContextLimits
from agentex_operator.sources.tree import Blobs, Directory

MANIFEST = """\
build: {context: {root: ., include_paths: [quote], dockerfile: Dockerfile, dockerignore: .dockerignore}}
agent: {name: quote, acp_type: sync, description: Answers}
"""
AGENT = {"manifest.yaml": MANIFEST, "Dockerfile": "FROM x\n", "quote/main.py": "print()\n"}

Edit = Callable[[tarfile.TarInfo], None]


def an_entry(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """One entry, with any field of its header set to anything."""
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    for field, value in fields.items():
        setattr(entry, field, value)
    return entry, content


def a_tar(*entries: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar with these entries, in this order."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for entry, content in entries:
            tar.addfile(entry, io.BytesIO(content) if content else None)
    return out.getvalue()


def a_tar_gz(files: Mapping[str, str | bytes], *more: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A tar.gz of these files; a name ending with `*` is executable."""
    entries = [an_entry(name.rstrip("*"), content.encode() if isinstance(content, str) else content,
                        mode=0o755 if name.endswith("*") else 0o644) for name, content in files.items()]
    return gzip.compress(a_tar(*entries, *more), 1)


def a_link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return an_entry(name, type=tarfile.SYMTYPE, linkname=target)


def a_hard_link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return an_entry(name, type=tarfile.LNKTYPE, linkname=target)


def a_header(name: bytes = b"f", size: bytes = b"00000000000\0", flag: bytes = b"0", magic: bytes = b"ustar\00000",
             mode: bytes = b"0000644\0") -> bytes:
    """One raw header block with a right checksum."""
    block = bytearray(512)
    for at, field in ((0, name), (100, mode), (124, size), (156, flag), (257, magic)):
        block[at:at + len(field)] = field
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def with_checksum(block: bytes, *, signed: bool = False) -> bytes:
    """The header block with its checksum set anew; `signed`: as old programs took it, of signed bytes."""
    blank = block[:148] + b" " * 8 + block[156:]
    total = sum(blank) - 256 * signed * sum(one > 127 for one in blank)
    return blank[:148] + b"%06o\0 " % total + blank[156:]


def a_pax_header(records: bytes, flag: bytes = b"x") -> bytes:
    padding = b"\0" * (-len(records) % 512)
    return a_header(size=b"%011o\0" % len(records), flag=flag) + records + padding


def a_record(key: str, value: str) -> bytes:
    """One PAX record; it says its own length."""
    body = f" {key}={value}\n".encode()
    length = len(body) + 1
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body


@contextmanager
def unpacked(tmp_path: Path, packed: bytes, **limits: int) -> Iterator[tuple[Directory, Blobs]]:
    """The tree in an archive."""
    with closing(Blobs(tmp_path / "blobs")) as blobs:
        yield read_tree(io.BytesIO(packed), blobs, ContextLimits(**limits), threading.Event()), blobs


def refusal(tmp_path: Path, packed: bytes, **limits: int) -> InvalidInput | None:
    """Why an archive is refused; None where it is not."""
    try:
        with unpacked(tmp_path, packed, **limits):
            return None
    except InvalidInput as error:
        return error
