"""The files of a context as a tree in memory; their contents are stored in one file on disk.

No name from an archive ever becomes a path on the operator's disk, so no name can lead to another place there. A link
is stored as its target, and is followed inside this tree only.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final

from agentex_operator.core import reasons
from agentex_operator.core.errors import InvalidInput
from agentex_operator.sources.limits import CHUNK
from agentex_operator.sources.tarheaders import has_control_characters, refused, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from agentex_operator.sources.limits import ContextLimits

_MOST_HOPS: Final = 40  # links followed for one path, as in the kernel


@dataclass(frozen=True, slots=True)
class File:
    """A regular file: the offset of its content in the blobs, its size in bytes and its sha256 (hex)."""

    start: int
    size: int
    sha256: str
    executable: bool


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link, with its target as written."""

    target: str


@dataclass(slots=True, eq=False)
class Directory:
    """A directory: its entries by name."""

    children: dict[str, Directory | File | Link] = field(default_factory=dict)


Chain = tuple[Directory, ...]  # the directories from the root to one directory; needed for `..`


class Blobs:
    """All contents, one after another in an unlinked file, which the kernel removes when the process ends."""

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.fdopen(os.open(path, flags, 0o600), "w+b")
        path.unlink()
        self._end = 0

    def store(self, chunks: Iterable[bytes], *, executable: bool) -> File:
        """Append a content, and return the file that it is of."""
        digest, start = hashlib.sha256(), self._end
        self._file.seek(start)
        for chunk in chunks:
            digest.update(chunk)
            self._end += self._file.write(chunk)
        return File(start, self._end - start, digest.hexdigest(), executable)

    def open(self, file: File) -> Content:
        """The content, to be read from its beginning. Only one content can be read at a time."""
        self._file.seek(file.start)
        return Content(self._file, file.size)

    def read(self, file: File, largest: int) -> bytes | None:
        """The whole content; None if it is larger than `largest` bytes."""
        return self.open(file).read(file.size) if file.size <= largest else None

    def close(self) -> None:
        """Free the disk space."""
        self._file.close()


@dataclass(slots=True)
class Content:
    """One content, as a file that is read forward. `left`: bytes not read yet."""

    file: BinaryIO
    left: int

    def read(self, size: int = CHUNK, /) -> bytes:
        """The next bytes, at most `size`."""
        found = self.file.read(min(size, self.left))
        self.left -= len(found)
        return found


@dataclass(slots=True)
class TreeBuilder:
    """Builds a tree while an archive is read: counts the entries, and refuses those that break a limit."""

    limits: ContextLimits
    root: Directory = field(default_factory=Directory)
    entries: int = 0

    def parts(self, name: str) -> tuple[str, ...]:
        """The components of a name from the archive; () is the root. Raises InvalidInput for an unsafe name."""
        if name.startswith("/") or "\\" in name or has_control_characters(name) or ".." in name.split("/"):
            raise refused(f"holds the unsafe path {shown(name)}; make it anew: paths are relative, without `..` "
                          "or backslashes")
        found = tuple(part for part in name.split("/") if part not in {"", "."})
        if len(name.encode("utf-8", "replace")) > self.limits.path or len(found) > self.limits.depth:
            raise refused(f"holds the path {shown(name)}, which is longer than {self.limits.path} bytes or "
                          f"{self.limits.depth} levels; shorten it")
        return found

    def directory(self, parts: Iterable[str]) -> Directory:
        """The directory at that path, created if it is missing. Raises InvalidInput if a file or a link is there."""
        at = self.root
        for part in parts:
            if part not in at.children:
                self.count()
                at.children[part] = Directory()
            at = _entered(at.children[part], part)
        return at

    def add(self, parts: tuple[str, ...], node: File | Link) -> None:
        """Add a file or a link. Raises InvalidInput if the path is taken by another one.

        An equal one may come again, as in an archive of `. Dockerfile`.
        """
        parent = self.directory(parts[:-1])
        there = parent.children.get(parts[-1]) if parts else None
        if not parts or (there is not None and not _is_same(there, node)):
            raise refused(f"holds {shown('/'.join(parts))} twice; make it anew, without appending")
        self.count()
        parent.children[parts[-1]] = node

    def count(self) -> None:
        """Count one entry. Raises InvalidInput(ContextTooLarge) for one more than allowed."""
        self.entries += 1
        if self.entries > self.limits.entries:
            raise InvalidInput(reasons.CONTEXT_TOO_LARGE, f"The archive holds more than {self.limits.entries:,} files "
                                                          "and directories. Leave out what the image does not need.")


def _is_same(there: Directory | File | Link, node: File | Link) -> bool:
    if isinstance(there, File) and isinstance(node, File):
        return (there.sha256, there.executable) == (node.sha256, node.executable)
    return there == node


def _entered(node: Directory | File | Link, name: str) -> Directory:
    if isinstance(node, Link):
        raise unsafe(f"The archive puts a file behind the symbolic link {shown(name)}. Make it anew, with `tar -czf`.")
    if isinstance(node, File):
        raise refused(f"uses {shown(name)} as a file and as a directory; make it anew, with `tar -czf`")
    return node


def unsafe(message: str) -> InvalidInput:
    """The error UnsafeSymlink, with this message."""
    return InvalidInput(reasons.UNSAFE_SYMLINK, message)


# --- walking --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """The target of a path: a file, or the directory at the end of the chain."""

    chain: Chain
    file: File | None = None


def find(start: Chain, path: str) -> Found | None:
    """The target of `path`, relative to the last directory of `start`; None if there is no such entry.

    Links are followed within the tree. Raises InvalidInput(UnsafeSymlink) for a link that leads out of the tree or
    forms a cycle, and InvalidInput(InvalidContext) for a path that is absolute or leads above the root.
    """
    if path.startswith("/") or climbs(start, path):
        raise InvalidInput(reasons.INVALID_CONTEXT, f"The path {shown(path)} leads out of the source. Correct it "
                                                    "where it is named: in spec.context, or in the manifest.")
    return _Walk(start, path).go(path)


def follow(start: Chain, name: str, link: Link, path: str) -> Found:
    """The target of the link `name` in the last directory of `start`; `path`: its whole path. Raises InvalidInput."""
    found = _Walk(start, path).go(name)
    if found is None:
        raise InvalidInput(reasons.INVALID_CONTEXT, f"The symbolic link {shown(path)} points to {shown(link.target)}, "
                                                    "which is not in the source. Add it, or leave the link out.")
    return found


class _Walk:
    """The resolution of one path; counts the links that it follows. `path`: the whole path, for messages."""

    def __init__(self, start: Chain, path: str) -> None:
        self._chain, self._hops, self._path = start, 0, path
        self._waiting: list[str] = []  # components not resolved yet, the next one last

    def go(self, path: str) -> Found | None:
        self._waiting = _reversed_parts(path)
        while self._waiting:
            file = self._step(self._waiting.pop())
            if file is not None:
                return Found(self._chain, file) if not self._waiting else None
            if not self._chain:
                return None
        return Found(self._chain)

    def _step(self, part: str) -> File | None:
        """Resolve one component, and return the file if it is one. Without such an entry, the chain becomes empty."""
        if part == "..":
            self._climb()
            return None
        node = self._chain[-1].children.get(part)
        if isinstance(node, Link):
            self._turn(part, node)
        elif isinstance(node, Directory):
            self._chain = (*self._chain, node)
        elif node is None:
            self._chain = ()
        return node if isinstance(node, File) else None

    def _climb(self) -> None:
        if len(self._chain) == 1:
            raise unsafe(f"A symbolic link in {shown(self._path)} leads out of the source. Replace it by what it "
                         "points to.")
        self._chain = self._chain[:-1]

    def _turn(self, name: str, link: Link) -> None:
        self._hops += 1
        if link.target.startswith("/"):
            raise unsafe(f"{self._link(name)} points to {shown(link.target)}, outside of the source. "
                         "Replace it by what it points to.")
        if self._hops > _MOST_HOPS or len(self._waiting) > 4096:
            raise unsafe(f"{self._link(name)} goes in a circle. Remove it.")
        self._waiting.extend(_reversed_parts(link.target))

    def _link(self, name: str) -> str:
        """The link in words; its last component alone does not say where it is."""
        way = "" if name == self._path else f", on the way to {shown(self._path)},"
        return f"The symbolic link {shown(name)}{way}"


def _reversed_parts(path: str) -> list[str]:
    return [part for part in reversed(path.split("/")) if part not in {"", "."}]


def climbs(start: Chain, path: str) -> bool:
    """Whether the path as written leads above the root of the tree."""
    depth = len(start) - 1
    for part in reversed(_reversed_parts(path)):
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return False


def names(directory: Directory) -> Iterator[str]:
    """The names in a directory, in byte order."""
    yield from sorted(directory.children)
