"""The staging area: a private directory with a scratch directory for each stage, and the published archives.

    <work dir>/run-XXXX/           of this operator, locked as long as the operator lives
        scratch-XXXX/              of one stage, removed when the stage ends
        <context digest>.tar.gz    one published archive, removed when no caller holds it
        sources/                   archives of sources that are looked at again (kept_archives.py)
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_RUN: Final = "run-"
_NEW: Final = "new-"
_LOCK: Final = "lock"
_SOURCES: Final = "sources"


@dataclass(frozen=True, slots=True)
class PublishedContext:
    """A staged context. `digest`: its working tree hash (hex). `size`: bytes of the archive.

    `revision`: the revision of the source that the context was made from.
    """

    revision: str
    digest: str
    archive: Path
    size: int
    manifest_text: str
    environments_text: str | None


@dataclass(slots=True, eq=False)
class Staged:
    """A staged context, held for one caller: the archive is not removed before `release`."""

    revision: str
    context_digest: str
    archive: Path
    size: int
    manifest_text: str
    environments_text: str | None
    _release: Callable[[], None] | None = field(repr=False)

    def release(self) -> None:
        """Release the archive; the last release removes it. Further calls do nothing."""
        release, self._release = self._release, None
        if release is not None:
            release()


class StagingArea:
    """The private directory of one operator. The directories of dead operators are removed first."""

    def __init__(self, work_dir: Path) -> None:
        """Raises OSError if the directory cannot be made."""
        work_dir.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(work_dir)
        made = Path(tempfile.mkdtemp(prefix=_NEW, dir=work_dir))
        self._lock = _locked(made)  # before the directory has a name that other operators look for
        self._directory = made.rename(work_dir / made.name.replace(_NEW, _RUN, 1))
        self._holders: dict[Path, int] = {}

    @contextlib.contextmanager
    def scratch_dir(self) -> Iterator[Path]:
        """An empty directory for one stage, removed at the end."""
        path = Path(tempfile.mkdtemp(prefix="scratch-", dir=self._directory))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def sources_dir(self) -> Path:
        """The directory for archives of sources."""
        place = self._directory / _SOURCES
        place.mkdir(exist_ok=True)
        return place

    def publish(self, archive: Path, digest: str) -> Path:
        """Move a packed archive to its place, and return this place. The archive is held until `release`."""
        place = self._directory / f"{digest}.tar.gz"
        archive.replace(place)
        self._hold(place)
        return place

    def hold(self, context: PublishedContext) -> Staged:
        """The published context, held for one more caller."""
        self._hold(context.archive)
        return Staged(context.revision, context.digest, context.archive, context.size, context.manifest_text,
                      context.environments_text, lambda: self.release(context.archive))

    def release(self, archive: Path) -> None:
        """Count one holder less; without any, remove the archive."""
        self._holders[archive] -= 1
        if not self._holders[archive]:
            del self._holders[archive]
            archive.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self._directory, ignore_errors=True)
        os.close(self._lock)

    def _hold(self, archive: Path) -> None:
        self._holders[archive] = self._holders.get(archive, 0) + 1


def _locked(directory: Path) -> int:
    """The descriptor that holds the lock of a directory; the kernel drops the lock when the process dies."""
    descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def _remove_abandoned(work_dir: Path) -> None:
    """Remove the directories of operators that are dead; files and links of others stay."""
    for directory in work_dir.glob(f"{_RUN}*"):
        if not directory.is_symlink() and directory.lstat().st_uid == os.getuid() and _is_abandoned(directory):
            shutil.rmtree(directory, ignore_errors=True)


def _is_abandoned(directory: Path) -> bool:
    try:
        descriptor = _locked(directory)
    except OSError:
        return False
    os.close(descriptor)
    return True
