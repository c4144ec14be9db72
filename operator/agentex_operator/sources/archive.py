"""Reading an untrusted tar.gz into a tree: its headers are read as a stream, and `extractall` is never used.

Every case of reliability.md §2(f) raises InvalidInput with InvalidContext, CorruptContext, ContextTooLarge or
UnsafeSymlink, or is harmless. Memory is bounded by the number of entries, not by their sizes. Files that macOS adds to
a directory by itself are left out: they change with every packing, and no image needs them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final

from agentex_operator.sources.gunzip import Gunzip
from agentex_operator.sources.limits import CHUNK, ContextLimits, full_disk_is_temporary, too_large
from agentex_operator.sources.tarheaders import (
    BLOCK,
    Header,
    Type,
    corrupt,
    has_control_characters,
    is_header,
    next_header,
    refused,
    shown,
)
from agentex_operator.sources.tree import Blobs, Directory, File, Link, TreeBuilder

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator


_FINDER: Final = ".DS_Store"
_FOLDER_ICON: Final = "Icon\r"  # beside it in folders with an icon of their own, such as those of synchronised drives
_APPLE_DOUBLE: Final = bytes.fromhex("00051607")  # the first bytes of `._name`: the resource fork of `name`


def read_tree(packed: BinaryIO, blobs: Blobs, limits: ContextLimits, stop: threading.Event) -> Directory:
    """The tree of a tar.gz, with the contents in `blobs`. Raises InvalidInput, and Unavailable for a full disk."""
    with full_disk_is_temporary():
        reader = _Reader(Gunzip(packed, limits, stop), blobs, TreeBuilder(limits))
        return reader.read()


@dataclass(slots=True)
class _Reader:
    """The reading of one archive. `unpacked`: bytes of content so far. `left_out`: the files of macOS, by path."""

    stream: Gunzip
    blobs: Blobs
    builder: TreeBuilder
    unpacked: int = 0
    left_out: dict[tuple[str, ...], File] = field(default_factory=dict)

    def read(self) -> Directory:
        while header := next_header(self._exactly):
            self._add(header)
        self._require_the_end()
        if not self.builder.root.children:
            raise refused("holds no files; pack the directory of the agent")
        return self.builder.root

    def _add(self, header: Header) -> None:
        """Add one entry. Its size is counted before its content is read."""
        if header.type is Type.FILE and header.name.rpartition("/")[2] == _FOLDER_ICON and not header.size:
            self.builder.count()
            return
        parts = self.builder.parts(header.name)
        self._count(header.size)
        match header.type:
            case Type.DIRECTORY:
                self.builder.directory(parts)
            case Type.SYMLINK:
                self.builder.add(parts, Link(self._target(header)))
            case Type.HARDLINK:
                self._add_file(parts, self._linked(header))
            case Type.FILE:
                self._add_file(parts, self.blobs.store(self._content(header.size), executable=header.executable))

    def _add_file(self, parts: tuple[str, ...], file: File) -> None:
        """Add a file, or leave it out."""
        if self._is_of_macos(parts, file):
            self.left_out[parts] = file
            self.builder.count()
        else:
            self.builder.add(parts, file)

    def _is_of_macos(self, parts: tuple[str, ...], file: File) -> bool:
        name = parts[-1] if parts else ""
        return name == _FINDER or (name.startswith("._") and self.blobs.open(file).read(4) == _APPLE_DOUBLE)

    def _target(self, header: Header) -> str:
        target = header.target
        odd = not target or has_control_characters(target) or "\\" in target
        if odd or len(target.encode("utf-8", "replace")) > self.builder.limits.path:
            raise refused(f"holds the symbolic link {shown(header.name)} with the unsafe target {shown(target)}; "
                          "leave the link out, or replace it by what it points to")
        return target

    def _linked(self, header: Header) -> File:
        """The earlier file that a hard link names. Its size is counted again: the file will be packed twice."""
        parts = self.builder.parts(header.target)
        at = self.builder.directory(parts[:-1])
        found = at.children.get(parts[-1], self.left_out.get(parts)) if parts else None
        if not isinstance(found, File):
            link, target = shown(header.name), shown(header.target)
            raise refused(f"holds the hard link {link} to {target}, which is no earlier file; make it anew, with "
                          "`tar -czf`")
        self._count(found.size)
        return found

    def _count(self, size: int) -> None:
        self.unpacked += size
        if self.unpacked > self.builder.limits.unpacked:
            raise too_large(f"The archive unpacks to more than {self.builder.limits.unpacked:,} bytes")

    def _content(self, size: int) -> Iterator[bytes]:
        left = size
        while left:
            chunk = self.stream.read(min(left, CHUNK))
            if not chunk:
                raise corrupt("it ends in the middle of a file")
            left -= len(chunk)
            yield chunk
        self._exactly(-size % BLOCK)

    def _exactly(self, size: int) -> bytes:
        """Exactly so many bytes; b"" at the regular end of the stream. Raises InvalidInput for fewer."""
        found = bytearray()
        while len(found) < size:
            chunk = self.stream.read(size - len(found))
            if not chunk and found:
                raise corrupt("it ends in the middle of an entry")
            if not chunk:
                return b""
            found += chunk
        return bytes(found)

    def _require_the_end(self) -> None:
        """Raise InvalidInput for a second archive: programs read two archives in one file in different ways.

        Other bytes after the end are skipped, as all programs do: old ones fill the last block with what they have.
        """
        rest = b""
        while chunk := self.stream.read(CHUNK):
            rest += chunk
            whole = len(rest) - len(rest) % BLOCK
            if rest.strip(b"\0") and any(is_header(rest[at:at + BLOCK]) for at in range(0, whole, BLOCK)):
                raise refused("goes on after its end; is it two archives in one file? Make it anew, with `tar -czf`")
            rest = rest[whole:]
