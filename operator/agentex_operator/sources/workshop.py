"""Where contexts are taken apart and packed: a private directory, a bench per staging, a shelf of finished archives.

    <work dir>/run-XXXX/           of this operator, locked as long as it lives
        bench-XXXX/                one staging; gone when it ends, however it ends
        <context digest>.tar.gz    one archive, as long as somebody holds it
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


@dataclass(frozen=True, slots=True)
class Finished:
    """A staged context on the shelf. `digest` is its working tree hash (hex), `size` the archive's in bytes.

    `revision`: of the source it was made from.
    """

    revision: str
    digest: str
    archive: Path
    size: int
    manifest_text: str
    environments_text: str | None


@dataclass(slots=True, eq=False)
class Staged:
    """A staged context, held for one caller: the archive stays until `release`."""

    revision: str
    context_digest: str
    archive: Path
    size: int
    manifest_text: str
    environments_text: str | None
    _let_go: Callable[[], None] | None = field(repr=False)

    def release(self) -> None:
        """Give the archive back; the last to do so removes it. May be called again."""
        let_go, self._let_go = self._let_go, None
        if let_go is not None:
            let_go()


class Workshop:
    """The private directory of one operator. What dead ones left behind is removed first."""

    def __init__(self, work_dir: Path) -> None:
        """Raises OSError where the directory cannot be made."""
        work_dir.mkdir(parents=True, exist_ok=True)
        _remove_the_dead(work_dir)
        made = Path(tempfile.mkdtemp(prefix=_NEW, dir=work_dir))
        self._lock = _locked(made)  # before it has a name that others look for
        self._room = made.rename(work_dir / made.name.replace(_NEW, _RUN, 1))
        self._holders: dict[Path, int] = {}

    @contextlib.contextmanager
    def bench(self) -> Iterator[Path]:
        """An empty directory for one staging."""
        path = Path(tempfile.mkdtemp(prefix="bench-", dir=self._room))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def shelve(self, archive: Path, digest: str) -> Path:
        """Move a finished archive to its place; its maker holds it until `put_back`."""
        place = self._room / f"{digest}.tar.gz"
        archive.replace(place)
        self._hold(place)
        return place

    def hold(self, finished: Finished) -> Staged:
        """The finished context for one more caller."""
        self._hold(finished.archive)
        return Staged(finished.revision, finished.digest, finished.archive, finished.size, finished.manifest_text,
                      finished.environments_text, lambda: self.put_back(finished.archive))

    def put_back(self, archive: Path) -> None:
        """One holder less; without any, the archive is removed."""
        self._holders[archive] -= 1
        if not self._holders[archive]:
            del self._holders[archive]
            archive.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self._room, ignore_errors=True)
        os.close(self._lock)

    def _hold(self, archive: Path) -> None:
        self._holders[archive] = self._holders.get(archive, 0) + 1


def _locked(room: Path) -> int:
    """The descriptor that keeps the lock of a room; the kernel drops it when we die."""
    descriptor = os.open(room / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def _remove_the_dead(work_dir: Path) -> None:
    """Remove the rooms whose operator does not live any more; nothing that is not ours."""
    for room in work_dir.glob(f"{_RUN}*"):
        if not room.is_symlink() and room.lstat().st_uid == os.getuid() and _is_abandoned(room):
            shutil.rmtree(room, ignore_errors=True)


def _is_abandoned(room: Path) -> bool:
    try:
        descriptor = _locked(room)
    except OSError:
        return False
    os.close(descriptor)
    return True
