"""The archives that looks at addresses have downloaded, kept for the stages that follow, up to a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_NAME: Final = "{}.source"


class KeptArchives:
    """Archives by their digest. `directory` makes the place for them; `largest`: bytes of all, the newest aside."""

    def __init__(self, directory: Callable[[], Path], largest: int) -> None:
        self._directory = directory
        self._largest = largest
        self._sizes: OrderedDict[str, int] = OrderedDict()  # by digest, the one that was used last at the end

    def keep(self, archive: Path, digest: str) -> None:
        """Move the archive here, and drop those that were not used for the longest time if there are too many bytes."""
        size = archive.stat().st_size
        archive.replace(self._place(digest))
        self._sizes[digest] = size
        self._sizes.move_to_end(digest)
        while len(self._sizes) > 1 and sum(self._sizes.values()) > self._largest:
            oldest, _size = self._sizes.popitem(last=False)
            self._place(oldest).unlink(missing_ok=True)

    def link(self, digest: str, out: Path) -> bool:
        """Make `out` a link to the archive with this digest; False if it is not kept."""
        if digest not in self._sizes:
            return False
        self._sizes.move_to_end(digest)
        out.hardlink_to(self._place(digest))
        return True

    def _place(self, digest: str) -> Path:
        return self._directory() / _NAME.format(digest.rpartition(":")[2])
