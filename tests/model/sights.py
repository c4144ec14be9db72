"""A ConfigMap as one replica sees it: its watch, the version that it knows, and the read that it keeps.

What a change, a list and a read mean is said by the production code, `reconcile/reference_versions.py`. A version is
the number of the source; from BROKEN on there is no ConfigMap.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from tests.model.kinds import BROKEN

from agentex_operator.reconcile.reference_versions import ReferenceVersions

OPEN, BREAK, DENIED = range(3)  # of the watch: it tells changes; a list comes next; the right is taken away
UNKNOWN, UNSURE = -1, -2        # of the known version: none yet; two were read
NONE = -1                       # no read is kept
NAME = ("team", "quote")
ASKED = frozenset({NAME})
LIVE, KEPT = 1 << 4, 5          # in what a pass sees: changes are told; the version of the first read


class Sight(NamedTuple):
    """What one replica has of the ConfigMap. As a process starts: nothing."""

    watch: int = BREAK
    live: bool = False       # passes do not poll
    pending: bool = False    # a change is not told yet
    known: int = UNKNOWN
    kept: int = NONE         # what a read may answer that need not be newer than its pass
    uses_kept: bool = False  # the pass in flight reads that


def told(sight: Sight, source: int) -> tuple[Sight, bool]:
    """After the watch tells the newest version; whether the resource is woken."""
    known, woken = _change(sight.known, source)
    return sight._replace(pending=False, known=known, kept=NONE), woken


def listed(sight: Sight, source: int) -> tuple[Sight, bool]:
    """After a list, from which the watch goes on; whether the resource is woken."""
    known, woken = _list(sight.known, source)
    return Sight(OPEN, live=True, known=known, uses_kept=sight.uses_kept), woken


def read(sight: Sight, version: int, *, live: bool) -> tuple[Sight, bool]:
    """After a pass has read this version, from the API server if `live`; whether the resource must look again."""
    known, woken = _read(sight.known, version)
    return sight._replace(known=known, kept=version if live else sight.kept), woken


def seen_by_pass(sight: Sight, source: int) -> int:
    """What a pass sees of it, as a number: the source, whether its changes are told, and the read that is kept."""
    kept = sight.kept if sight.uses_kept else NONE
    return source | (LIVE if sight.live else 0) | (kept + 1) << KEPT


def decoded(seen: int) -> tuple[int, bool, int]:
    """The source, whether its changes are told, and the version of the first read, NONE for the source's."""
    return seen & LIVE - 1, bool(seen & LIVE), (seen >> KEPT) - 1


# --- the production code, over numbers ------------------------------------------------------------------------------


def _change(known: int, source: int) -> tuple[int, bool]:
    versions = _versions(known)
    woken = versions.take_change(NAME, _name(source))
    return _known(versions, source), woken


def _list(known: int, source: int) -> tuple[int, bool]:
    versions, version = _versions(known), _name(source)
    woken = versions.take_list(ASKED, {} if version is None else {NAME: version}, ASKED)
    return _known(versions, source), bool(woken)


def _read(known: int, version: int) -> tuple[int, bool]:
    versions = _versions(known)
    woken = versions.take_read(NAME, _name(version))
    return _known(versions, version), woken


def _versions(known: int) -> ReferenceVersions:
    versions = ReferenceVersions(lambda _: True)
    if known != UNKNOWN:
        versions._known[NAME] = "" if known == UNSURE else _name(known)
    return versions


def _known(versions: ReferenceVersions, now: int) -> int:
    """The number of the version that is known: `now` is the newest that was heard of."""
    if NAME not in versions._known:
        return UNKNOWN
    known = versions._known[NAME]
    if known is None:
        return BROKEN
    return UNSURE if known == "" else int(known) - 1


@cache
def _name(source: int) -> str | None:
    """The resourceVersion; None where there is no ConfigMap."""
    return None if source >= BROKEN else str(source + 1)
