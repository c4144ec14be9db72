"""Archives that no honest tool writes, each with the reason it is refused for (reliability.md §2f)."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable

from tests.sources.archives import a_hard_link, a_header, a_link, a_pax_header, a_record, a_tar, a_tar_gz, an_entry

END = bytes(1024)


def a_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("Dockerfile", "FROM x\n")
    return out.getvalue()


def gz(raw: bytes) -> bytes:
    return gzip.compress(raw, 1)


def one(name: str, content: bytes = b"x", **fields: object) -> bytes:
    return gz(a_tar(an_entry(name, content, **fields)))


GOOD = a_tar(an_entry("a", b"hello"))
FILE = a_header(size=b"00000000005\0") + b"hello" + bytes(507)

REFUSED = [
    # paths
    ("an absolute path", one("/etc/cron.d/x"), "InvalidContext"),
    ("a path up", one("../evil"), "InvalidContext"),
    ("a path down and up", one("a/../../b"), "InvalidContext"),
    ("a path up at its end", one("a/.."), "InvalidContext"),
    ("a path that stays inside by `..`", one("a/../b"), "InvalidContext"),
    ("backslashes", one("..\\..\\evil"), "InvalidContext"),
    ("a drive letter", one("C:\\evil"), "InvalidContext"),
    ("a NUL in a PAX path", gz(a_pax_header(a_record("path", "a\0b")) + FILE + END), "InvalidContext"),
    ("a line break in a name", one("a\nb"), "InvalidContext"),
    ("an escape sequence in a name", one("a\x1b[31m"), "InvalidContext"),
    ("a name of 4 KB", one("n" * 4096), "InvalidContext"),
    ("a path of 5000 levels", one("/".join("d" * 5000)), "InvalidContext"),
    ("a name that is not UTF-8", gz(a_header(name=b"\xff\xfe") + END), "InvalidContext"),
    ("the root itself as a file", one("./"[:1]), "InvalidContext"),
    ("a PAX path that overrides a harmless one", gz(a_pax_header(a_record("path", "../evil")) + FILE + END),
     "InvalidContext"),
    ("a GNU long name that overrides a harmless one",
     gz(a_header(size=b"00000000010\0", flag=b"L") + b"../evil\0" + bytes(504) + FILE + END), "InvalidContext"),
    ("a global PAX path", gz(a_pax_header(a_record("path", "evil"), b"g") + FILE + END), "InvalidContext"),
    # links
    ("a file behind a symlink", a_tar_gz({}, a_link("l", "/var/run/secrets"), an_entry("l/token", b"x")),
     "UnsafeSymlink"),
    ("a directory behind a symlink", a_tar_gz({}, a_link("l", "d"), an_entry("l/d", type=tarfile.DIRTYPE)),
     "UnsafeSymlink"),
    ("a file in the place of a symlink", a_tar_gz({}, a_link("l", "/etc/p"), an_entry("l", b"x")), "InvalidContext"),
    ("a symlink in the place of a directory", a_tar_gz({"d/f": "x"}, a_link("d", "/etc")), "InvalidContext"),
    ("a symlink to nothing at all", a_tar_gz({}, a_link("l", "")), "InvalidContext"),
    ("a symlink with an endless target", a_tar_gz({}, a_link("l", "t" * 5000)), "InvalidContext"),
    ("a symlink with content", gz(a_header(flag=b"2", size=b"00000000005\0") + b"hello" + bytes(507) + END),
     "CorruptContext"),
    ("a hard link out", a_tar_gz({}, a_hard_link("l", "/etc/passwd")), "InvalidContext"),
    ("a hard link to a later file", a_tar_gz({}, a_hard_link("l", "f"), an_entry("f", b"x")),
     "InvalidContext"),
    ("a hard link to a symlink", a_tar_gz({}, a_link("s", "/etc/passwd"), a_hard_link("l", "s")),
     "InvalidContext"),
    ("a hard link to itself", a_tar_gz({}, a_hard_link("l", "l")), "InvalidContext"),
    # types
    ("a character device", one("null", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3), "InvalidContext"),
    ("a block device", one("sda", b"", type=tarfile.BLKTYPE), "InvalidContext"),
    ("a FIFO", one("pipe", b"", type=tarfile.FIFOTYPE), "InvalidContext"),
    ("a GNU sparse file", gz(a_header(flag=b"S") + END), "InvalidContext"),
    ("a PAX sparse file", gz(a_pax_header(a_record("GNU.sparse.major", "1")) + FILE + END), "InvalidContext"),
    ("a multi-volume part", gz(a_header(flag=b"M") + END), "InvalidContext"),
    ("an unknown type", gz(a_header(flag=b"Z") + END), "InvalidContext"),
    ("a directory with content", gz(a_header(flag=b"5", size=b"00000000005\0") + b"hello" + bytes(507) + END),
     "CorruptContext"),
    # names used twice
    ("a file twice", a_tar_gz({}, an_entry("a", b"1"), an_entry("a", b"2")), "InvalidContext"),
    ("a file twice by different spellings", a_tar_gz({}, an_entry("a", b"1"), an_entry("./a", b"2")), "InvalidContext"),
    ("a file that is a directory later", a_tar_gz({}, an_entry("a", b"1"), an_entry("a/b", b"2")), "InvalidContext"),
    ("a directory that is a file later", a_tar_gz({}, an_entry("a/b", b"1"), an_entry("a", b"2")), "InvalidContext"),
    # sizes
    ("a negative size", gz(a_header(size=b"\xff" * 12) + END), "CorruptContext"),
    ("a size of 2^94", gz(a_header(size=b"\x80" + b"\x7f" * 11) + END), "ContextTooLarge"),
    ("a size that is no number", gz(a_header(size=b"9999999999x\0") + END), "CorruptContext"),
    ("a PAX size of 10^18", gz(a_pax_header(a_record("size", str(10**18))) + FILE + END), "ContextTooLarge"),
    ("a PAX size below zero", gz(a_pax_header(a_record("size", "-1")) + FILE + END), "CorruptContext"),
    ("a PAX size beyond the file", gz(a_pax_header(a_record("size", "100000")) + FILE + END), "CorruptContext"),
    ("a GNU long name of 1 GB", gz(a_header(size=b"07346545000\0", flag=b"L") + END), "CorruptContext"),
    ("a PAX header of 1 GB", gz(a_header(size=b"07346545000\0", flag=b"x") + END), "CorruptContext"),
    ("a PAX record longer than its header", gz(a_pax_header(b"99 path=a\n") + FILE + END), "CorruptContext"),
    ("a PAX record of length zero", gz(a_pax_header(b"0 path=a\n") + FILE + END), "CorruptContext"),
    ("PAX headers without end", gz(a_pax_header(a_record("comment", "x")) * 1000 + FILE + END), "CorruptContext"),
    ("a PAX header with nothing after it", gz(a_pax_header(a_record("path", "a")) + END), "CorruptContext"),
    ("a wrong checksum", gz(b"x" + GOOD[1:]), "CorruptContext"),
    # gzip
    ("nothing", b"", "CorruptContext"),
    ("one byte", b"\x1f", "CorruptContext"),
    ("a zip", a_zip(), "CorruptContext"),
    ("a tar without gzip", GOOD, "CorruptContext"),
    ("a tar cut short", gz(GOOD[:700]), "CorruptContext"),
    ("a gzip cut short", gz(GOOD)[:-12], "CorruptContext"),
    ("a gzip without its checksum", gz(GOOD)[:-8], "CorruptContext"),
    ("a gzip with a wrong checksum", gz(GOOD)[:-8] + b"\0\0\0\0" + gz(GOOD)[-4:], "CorruptContext"),
    ("a gzip with a flipped bit", gz(GOOD)[:40] + b"\xff" + gz(GOOD)[41:], "CorruptContext"),
    ("a gzip with something behind it", gz(GOOD) + b"garbage", "CorruptContext"),
    ("two archives in one file", gz(GOOD) + gz(a_tar(an_entry("b", b"x"))), "InvalidContext"),
    ("an archive of nothing", gz(END), "InvalidContext"),
    ("an empty gzip", gz(b""), "InvalidContext"),
]

# Beyond a limit: how it is made, which limits are lowered for it, and the reason.
LIMITED: dict[str, tuple[Callable[[], bytes], dict[str, int], str]] = {
    "an entry more than allowed": (lambda: a_tar_gz({str(number): "" for number in range(11)}), {"entries": 10},
                                   "ContextTooLarge"),
    "implied directories": (lambda: a_tar_gz({"a/b/c/d/e/f": ""}), {"entries": 5}, "ContextTooLarge"),
    "endless entries": (lambda: gz(b"".join(a_header(name=b"%06d" % number) for number in range(20_001))), {},
                        "ContextTooLarge"),
    "a byte more than allowed": (lambda: a_tar_gz({"a": "12345", "b": "12345"}), {"unpacked": 9}, "ContextTooLarge"),
    "hard links that count each time": (
        lambda: a_tar_gz({"f": "x" * 1000}, *[a_hard_link(f"l{number}", "f") for number in range(10)]),
        {"unpacked": 10_000}, "ContextTooLarge"),
    "a gzip bomb": (lambda: gzip.compress(a_tar(an_entry("zeros", bytes(40_000_000)))), {"ratio_from": 1_000_000},
                    "ContextTooLarge"),
    "zeros after the end": (lambda: gzip.compress(GOOD + bytes(20_000_000)), {"ratio_from": 1_000_000},
                            "ContextTooLarge"),
    "a hundred thousand empty gzip members": (lambda: gz(b"") * 100_001 + gz(GOOD), {}, "CorruptContext"),
}
