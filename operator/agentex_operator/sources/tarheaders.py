"""The headers of a tar archive: ustar, GNU and PAX headers of an entry, read into one value, within limits.

The standard library's reader is not used: it keeps extended headers of any size in memory, and it is lenient. Here,
every entry that is not plainly a file, a directory or a link is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from agentex_operator.core import guard, reasons
from agentex_operator.core.errors import InvalidInput

BLOCK: Final = 512
_LARGEST_EXTENSION: Final = 1024 * 1024  # bytes of one PAX header or GNU long name
_EXTENSIONS: Final = frozenset({b"x", b"X", b"g", b"L", b"K", b"V"})  # X: PAX of Solaris; V: a label, of no use
_MOST_EXTENSIONS: Final = 4              # before one entry

Read = Callable[[int], bytes]  # exactly so many bytes; raises InvalidInput if there are fewer


class Type(Enum):
    """The type of an entry."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symbolic link"
    HARDLINK = "hard link"


@dataclass(frozen=True, slots=True)
class Header:
    """One entry. `name` and `target` are as written. `executable`: owner-x of the mode. `size`: bytes, at least 0."""

    name: str
    type: Type
    size: int
    executable: bool
    target: str


def corrupt(what: str) -> InvalidInput:
    """The error CorruptContext, for an archive that no tar program would write."""
    return InvalidInput(reasons.CORRUPT_CONTEXT, f"The archive is damaged: {what}. Make it anew, with `tar -czf`.")


def refused(what: str) -> InvalidInput:
    """The error InvalidContext, for an archive with entries that a build context must not have."""
    return InvalidInput(reasons.INVALID_CONTEXT, f"The archive {what}.")


def shown(name: str) -> str:
    """A name from the archive for a message: quoted, escaped, and cut to 120 characters."""
    return ascii(name if len(name) <= 120 else name[:119] + "~")


def has_control_characters(name: str) -> bool:
    """Whether a name has control characters, which could forge a line of a log or of the working tree hash."""
    return any(one < " " or one == "\x7f" for one in name)


def next_header(read: Read) -> Header | None:
    """The next entry's header, its extensions applied; None at the end of the archive. Raises InvalidInput."""
    extra = _Extensions()
    for _ in range(_MOST_EXTENSIONS + 1):
        block = read(BLOCK)
        if not block or block == bytes(BLOCK):
            extra.require_none_open()
            return None
        raw = _Raw.parse(block)
        if not extra.read(raw, read):
            return _header(raw, extra)
    raise corrupt("an entry has too many extended headers")


# --- one block ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Raw:
    """One header block, whose checksum was verified."""

    name: bytes
    mode: int
    size: int
    flag: bytes
    target: bytes

    @classmethod
    def parse(cls, block: bytes) -> _Raw:
        if _number(block[148:156]) not in _checksums(block):
            raise corrupt("a header has a wrong checksum")
        name, prefix = _text(block[:100]), _text(block[345:500])
        ustar = block[257:263] == b"ustar\0"
        return cls(prefix + b"/" + name if ustar and prefix else name, _number(block[100:108]),
                   _number(block[124:136]), block[156:157], _text(block[157:257]))


def is_header(block: bytes) -> bool:
    """Whether a block could be the header of an entry: its checksum is right."""
    try:
        return any(block) and _number(block[148:156]) in _checksums(block)
    except InvalidInput:
        return False


def _checksums(block: bytes) -> tuple[int, int]:
    """The sum of the bytes, with blanks in place of the sum itself; and of signed bytes, which old programs take."""
    others = block[:148] + block[156:]
    total = sum(others) + 8 * 32
    return total, total - 256 * sum(one > 127 for one in others)


def _text(raw: bytes) -> bytes:
    return raw.partition(b"\0")[0]


def _number(raw: bytes) -> int:
    """The number in octal digits, or in GNU's base 256. Raises InvalidInput for a negative number, or for none."""
    if raw[0] & 0x80:
        return _base_256(raw)
    digits = raw.lstrip(b" ").partition(b"\0")[0].rstrip(b" ")
    if digits.strip(b"01234567"):
        raise corrupt("a header has a number that is none")
    return int(digits or b"0", 8)


def _base_256(raw: bytes) -> int:
    if raw[0] != 0x80:
        raise corrupt("a header has a negative number")
    return int.from_bytes(raw[1:], "big")


# --- extensions -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Extensions:
    """The values that PAX and GNU headers state for the entry that follows them."""

    values: dict[str, bytes] = field(default_factory=dict)
    count: int = 0

    def read(self, raw: _Raw, read: Read) -> bool:
        """Read the content of the block if it is an extension, and return True; else False."""
        if raw.flag not in _EXTENSIONS:
            return False
        content = _padded(raw.size, read)
        self.count += 1
        if raw.flag == b"g":
            _require_harmless(_records(content))
        elif raw.flag in {b"x", b"X"}:
            self._update(_records(content))
        elif raw.flag in {b"L", b"K"}:
            self.values["path" if raw.flag == b"L" else "linkpath"] = content.rstrip(b"\0")
        return True

    def _update(self, records: dict[str, bytes]) -> None:
        if any(key.startswith("GNU.sparse") for key in records):
            raise refused("holds a sparse file; make it with `tar -czf`, without --sparse")
        self.values.update(records)
        self.values = {key: value for key, value in self.values.items() if value}  # an empty one takes back another

    def size(self, otherwise: int) -> int:
        """The size that PAX states, for files too large for a header; else `otherwise`."""
        stated = self.values.get("size")
        if stated is None:
            return otherwise
        if not stated.isdigit() or len(stated) > 20:
            raise corrupt("a size is no number")
        return int(stated)

    def require_none_open(self) -> None:
        """Raise InvalidInput if the archive ends between an extension and its entry."""
        if self.values:
            raise corrupt("it ends in the middle of an entry")


def _padded(size: int, read: Read) -> bytes:
    """The content of an extension; its padding is read and dropped. Raises InvalidInput if it is too large."""
    if size > _LARGEST_EXTENSION:
        raise corrupt("an extended header is too large")
    return read(-(-size // BLOCK) * BLOCK)[:size]


def _records(content: bytes) -> dict[str, bytes]:
    """The values in PAX's `length key=value` lines. Raises InvalidInput for other content."""
    found: dict[str, bytes] = {}
    at, end = 0, len(content.rstrip(b"\0"))  # some programs fill the rest with zeros
    while at < end:  # by place: a copy of the rest for each record takes seconds where there are many
        after, start = _record_length(content, at)
        key, equals, value = content[start:after].partition(b"=")
        if not equals or not value.endswith(b"\n"):
            raise corrupt("an extended header cannot be read")
        found[key.decode("utf-8", "replace")] = value[:-1]
        at = after
    return found


def _record_length(content: bytes, at: int) -> tuple[int, int]:
    """Where the record at this place ends, and where its key begins. Raises InvalidInput."""
    digits = content[at:at + 32].partition(b" ")[0]
    if not digits.isdigit() or not len(digits) + 1 < int(digits) <= len(content) - at:
        raise corrupt("an extended header cannot be read")
    return at + int(digits), at + len(digits) + 1


def _require_harmless(everywhere: dict[str, bytes]) -> None:
    """Raise InvalidInput for a global header that names or sizes all files; Git's comment is harmless."""
    if any(key in {"path", "linkpath", "size"} or key.startswith("GNU.sparse") for key in everywhere):
        raise refused("renames or resizes all of its files by one header; make it with `tar -czf`")


# --- the whole ------------------------------------------------------------------------------------------------------

_TYPES: Final = {b"0": Type.FILE, b"\0": Type.FILE, b"7": Type.FILE, b"5": Type.DIRECTORY, b"2": Type.SYMLINK,
                 b"1": Type.HARDLINK}
_REFUSED: Final = {b"3": "a device", b"4": "a device", b"6": "a FIFO", b"S": "a sparse file"}


def _header(raw: _Raw, extra: _Extensions) -> Header:
    name = _decoded(extra.values.get("path", raw.name))
    if raw.flag not in _TYPES:
        kind = _REFUSED.get(raw.flag, "an entry of an unknown type")
        raise refused(f"holds {kind}, {shown(name)}; leave it out: a build context is files, directories and links")
    kind_of = _TYPES[raw.flag]
    if kind_of is Type.FILE and name.endswith("/"):  # old tar programs wrote directories in this way
        kind_of = Type.DIRECTORY
    size = 0 if kind_of is Type.HARDLINK else extra.size(raw.size)  # some state the size of the file it links to
    if size and kind_of is not Type.FILE:
        raise corrupt(f"{shown(name)} is a {kind_of.value} with content")
    return Header(name, kind_of, size, bool(raw.mode & 0o100), _decoded(extra.values.get("linkpath", raw.target)))


def _decoded(raw: bytes) -> str:
    with guard.raising(lambda _error: refused(f"holds a name that is not UTF-8: {raw[:60]!r}; rename it")):
        return raw.decode()
