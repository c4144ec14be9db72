"""Build contexts: taken in with bounded memory, looked through without unpacking, and thrown away."""

import gzip
import hashlib
import re
import tarfile
import tempfile
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from agentex_simulator.errors import RejectedError, broken_rule

if TYPE_CHECKING:
    from hashlib import _Hash

MAX_NAMES = 10_000
MAX_DOCKERFILE = 262_144
MAX_UNPACKED = 8_000_000_000
COPY = 1 << 20
UNREADABLE = (tarfile.TarError, EOFError, OSError, zlib.error, ValueError)


@dataclass(frozen=True)
class ArchiveFacts:
    """All that is kept of an upload: bytes, digest, file names (the first 10,000), the root Dockerfile's text,
    and why it cannot be unpacked, if it cannot.
    """

    size: int
    sha256: str
    names: tuple[str, ...] = ()
    dockerfile: str | None = None
    problem: str | None = None


@dataclass
class Spool:
    """An upload on disk while it is counted and hashed; a context manager that leaves nothing behind."""

    limit: int
    size: int = 0
    file: IO[bytes] = field(default_factory=tempfile.TemporaryFile)
    digest: "_Hash" = field(default_factory=hashlib.sha256)

    async def fill(self, chunks: AsyncIterator[bytes]) -> None:
        """Take the bytes in as they come; RejectedError 413 at limit + 1, 400 when there were none."""
        async for chunk in chunks:
            self._add(chunk)
        if not self.size:
            raise broken_rule("context_archive is empty")

    def _add(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > self.limit:
            raise RejectedError(413, f"context_archive is larger than {self.limit} bytes")
        self.digest.update(chunk)
        self.file.write(chunk)

    def facts(self) -> ArchiveFacts:
        """Look through the archive; blocking, for a thread."""
        self.file.seek(0)
        try:
            names, dockerfile = _walk(self.file)
        except UNREADABLE as error:
            return ArchiveFacts(self.size, self.digest.hexdigest(), problem=str(error) or type(error).__name__)
        return ArchiveFacts(self.size, self.digest.hexdigest(), tuple(names), dockerfile)

    def close(self) -> None:
        """Remove the bytes from the disk."""
        self.file.close()


def _walk(file: IO[bytes]) -> tuple[list[str], str | None]:
    names: list[str] = []
    dockerfile = None
    unpacked = 0
    with gzip.open(file) as plain, tarfile.open(fileobj=plain, mode="r|") as tar:
        for member in tar:
            unpacked = _counted(unpacked, member.size)
            name = _plain(member.name)
            dockerfile = _text(tar, member) if name == "Dockerfile" else dockerfile
            if len(names) < MAX_NAMES:
                names.append(name)
            # tarfile remembers every member: a flood when there are a million; the attribute is not in typeshed
            tar.members.clear()  # type: ignore[attr-defined]
        _read_to_the_end(plain, unpacked)
    return names, dockerfile


def _read_to_the_end(plain: gzip.GzipFile, unpacked: int) -> None:
    """An archive cut short after its last member is noticed only by its checksum."""
    while padding := plain.read(COPY):
        unpacked = _counted(unpacked, len(padding))


def _counted(unpacked: int, size: int) -> int:
    if unpacked + size > MAX_UNPACKED:
        raise tarfile.ReadError(f"more than {MAX_UNPACKED} bytes when unpacked")
    return unpacked + size


def _plain(name: str) -> str:
    return re.sub(r"^(\./+)+", "", name)


def _text(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str | None:
    if not member.isfile():
        return None
    file = tar.extractfile(member)
    return None if file is None else file.read(MAX_DOCKERFILE).decode("utf-8", "replace")
