"""The upload: the staged files as a deterministic tar.gz, and the vendor's hash of the files (agentex-api.md §7)."""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, BinaryIO, Final

from agentex_operator.sources.limits import CHUNK, full_disk_is_temporary, raise_if_stopped, too_large

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable
    from pathlib import Path

    from agentex_operator.sources.tree import Blobs, File

_PLAIN, _EXECUTABLE, _SYMLINK = "100644", "100755", "120000"
_LEVEL: Final = 6

Staging = Mapping[str, "File"]  # the files of a staged context by relative POSIX path


# --- the hash -------------------------------------------------------------------------------------------------------


def staging_hash(staging: Staging) -> str:
    """The vendor's working_tree_hash (hex) of a staged context, in which all symlinks are resolved."""
    return _hash_of((path, _EXECUTABLE if file.executable else _PLAIN, file.sha256) for path, file in staging.items())


def working_tree_hash(directory: Path) -> str:
    """The vendor's working_tree_hash (hex) of a directory on disk: its files and symlinks, by path, mode and content.

    Of a mode, only owner-x counts; directories, times and owners do not count.
    """
    found = (path for path in directory.rglob("*") if path.is_symlink() or path.is_file())
    return _hash_of((path.relative_to(directory).as_posix(), *_mode_and_content(path)) for path in found)


def _hash_of(records: Iterable[tuple[str, str, str]]) -> str:
    """The hash of records sorted by whole path, by code points: `a-b` is before `a/b`, unlike in a directory walk."""
    lines = ["\0".join(record) for record in sorted(records)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _mode_and_content(path: Path) -> tuple[str, str]:
    if path.is_symlink():
        return _SYMLINK, hashlib.sha256(os.fsencode(path.readlink())).hexdigest()
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return _EXECUTABLE if path.stat().st_mode & 0o100 else _PLAIN, digest


# --- the archive ----------------------------------------------------------------------------------------------------


def pack(staging: Staging, blobs: Blobs, out: Path, largest: int, stop: threading.Event) -> int:
    """Write the tar.gz; its size in bytes. Equal files give equal bytes (with one version of zlib).

    Raises InvalidInput(ContextTooLarge) as soon as it exceeds `largest` bytes, and Unavailable for a full disk.
    """
    with full_disk_is_temporary(), out.open("xb") as file:
        bounded = _Bounded(file, largest)
        with (gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=bounded, mtime=0) as packed,
              tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT, bufsize=CHUNK) as tar):
            for path in sorted(staging):
                raise_if_stopped(stop)
                _add(tar, path, staging[path], blobs)
        return bounded.size


def _add(tar: tarfile.TarFile, path: str, file: File, blobs: Blobs) -> None:
    """Add one file; owner, times and the rest of the mode are the same for all files."""
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode, entry.mtime = file.size, 0o755 if file.executable else 0o644, 0
    tar.addfile(entry, blobs.open(file))


class _Bounded:
    """A file with a largest size; writing beyond that size raises InvalidInput(ContextTooLarge)."""

    def __init__(self, file: BinaryIO, largest: int) -> None:
        self._file, self._largest, self.size = file, largest, 0

    def write(self, chunk: bytes) -> int:
        self.size += len(chunk)
        if self.size > self._largest:
            raise too_large(f"The build context is larger than {self._largest:,} bytes when packed")
        return self._file.write(chunk)

    def flush(self) -> None:
        self._file.flush()
