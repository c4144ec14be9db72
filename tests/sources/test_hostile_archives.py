"""reliability.md §2(f): every hostile archive is refused with a reason, or harmless; nothing leaves the directory."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.sources.archives import (
    a_hard_link,
    a_header,
    a_link,
    a_pax_header,
    a_record,
    a_tar,
    a_tar_gz,
    an_entry,
    refusal,
    unpacked,
)

from agentex_operator.sources.tree import Directory, File, Link

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


@pytest.mark.parametrize(("packed", "reason"), [pytest.param(*case[1:], id=case[0]) for case in REFUSED])
def test_it_is_refused_with_its_reason(packed: bytes, reason: str, tmp_path: Path) -> None:
    error = refusal(tmp_path, packed)

    assert (error and error.reason, list(tmp_path.iterdir())) == (reason, [])


def test_every_refusal_is_a_short_printable_sentence_with_a_next_step(tmp_path: Path) -> None:
    messages = [error.message for _, packed, _ in REFUSED if (error := refusal(tmp_path, packed))]

    assert [text for text in messages if len(text) > 400 or not text.isprintable() or not text.endswith(".")] == []


# --- limits ---------------------------------------------------------------------------------------------------------


def test_more_entries_than_allowed_are_refused(tmp_path: Path) -> None:
    packed = a_tar_gz({str(number): "" for number in range(11)})

    assert [refusal(tmp_path, packed, entries=allowed) is None for allowed in (11, 10)] == [True, False]


def test_implied_directories_count_as_entries(tmp_path: Path) -> None:
    error = refusal(tmp_path, a_tar_gz({"a/b/c/d/e/f": ""}), entries=5)

    assert error is not None
    assert error.reason == "ContextTooLarge"


def test_endless_entries_end_at_20_000(tmp_path: Path) -> None:
    error = refusal(tmp_path, gz(b"".join(a_header(name=b"%06d" % number) for number in range(20_001))))

    assert error is not None
    assert error.reason == "ContextTooLarge"


@pytest.mark.parametrize(("allowed", "fits"), [(9, False), (10, True), (11, True)])
def test_unpacked_bytes_are_counted_to_the_byte(allowed: int, fits: bool, tmp_path: Path) -> None:
    assert (refusal(tmp_path, a_tar_gz({"a": "12345", "b": "12345"}), unpacked=allowed) is None) is fits


def test_hard_links_count_each_time(tmp_path: Path) -> None:
    links = [a_hard_link(f"l{number}", "f") for number in range(10)]

    error = refusal(tmp_path, a_tar_gz({"f": "x" * 1000}, *links), unpacked=10_000)

    assert error is not None
    assert error.reason == "ContextTooLarge"


def test_a_gzip_bomb_is_refused_by_its_ratio_long_before_it_is_unpacked(tmp_path: Path) -> None:
    error = refusal(tmp_path, gzip.compress(a_tar(an_entry("zeros", bytes(40_000_000)))), ratio_from=1_000_000)

    assert error is not None
    assert "200 times its size" in error.message


def test_zeros_after_the_end_do_not_unpack_for_ever(tmp_path: Path) -> None:
    error = refusal(tmp_path, gzip.compress(GOOD + bytes(20_000_000)), ratio_from=1_000_000)

    assert error is not None
    assert error.reason == "ContextTooLarge"


def test_a_hundred_thousand_empty_gzip_members_end(tmp_path: Path) -> None:
    error = refusal(tmp_path, gz(b"") * 100_001 + gz(GOOD))

    assert error is not None
    assert error.reason == "CorruptContext"


BOUNDED = """
import io, resource, sys, tempfile, threading, gzip, os
from pathlib import Path
from agentex_operator.sources.archive import read_tree
from agentex_operator.sources.limits import Limits
from agentex_operator.sources.packing import pack
from agentex_operator.sources.tree import Blobs
sys.path.insert(0, sys.argv[1])
from tests.sources.archives import a_header
room = Path(sys.argv[2])
with gzip.open(room / "big.tar.gz", "wb", compresslevel=0) as out:
    out.write(a_header(size=b"%011o\\0" % 40_000_000))
    noise = os.urandom(1_000_000)
    for _ in range(40):
        out.write(noise)
    out.write(bytes(-40_000_000 % 512) + bytes(1024))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
blobs = Blobs(room / "blobs")
with open(room / "big.tar.gz", "rb") as packed:
    tree = read_tree(packed, blobs, Limits(), threading.Event())
os.unlink(room / "big.tar.gz")
size = pack({"f": tree.children["f"]}, blobs, room / "out", 41_000_000, threading.Event())
blobs.close()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_40_mb_are_read_and_packed_with_less_than_20_mb_more_memory(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", BOUNDED, str(Path.cwd()), str(tmp_path)], capture_output=True,
                         text=True, check=True, env={**os.environ, "PYTHONPATH": "operator"})

    assert int(run.stdout) < 20_000  # KiB


# --- what is fine ---------------------------------------------------------------------------------------------------


def names_in(directory: Directory, prefix: str = "") -> list[str]:
    found = []
    for name, node in sorted(directory.children.items()):
        found += names_in(node, f"{prefix}{name}/") if isinstance(node, Directory) else [prefix + name]
    return found


FINE = [
    ("dots and slashes", a_tar_gz({"./a//b/./c": "x"}), ["a/b/c"]),
    ("the root as a directory", a_tar_gz({}, an_entry("./", type=tarfile.DIRTYPE), an_entry("a", b"x")), ["a"]),
    ("a directory twice", a_tar_gz({}, *[an_entry("d", type=tarfile.DIRTYPE)] * 2, an_entry("d/f", b"x")), ["d/f"]),
    ("names beyond ASCII", a_tar_gz({"aé/日本\u3000語 ☃.txt": "x"}), ["aé/日本\u3000語 ☃.txt"]),
    ("long PAX names", a_tar_gz({"d/" * 60 + "n" * 200: "x"}), ["d/" * 60 + "n" * 200]),
    ("long GNU names", gz(a_tar(an_entry("d/" * 60 + "n" * 200, b"x"), form=tarfile.GNU_FORMAT)),
     ["d/" * 60 + "n" * 200]),
    ("ustar prefixes", gz(a_tar(an_entry("d" * 90 + "/" + "n" * 90, b"x"), form=tarfile.USTAR_FORMAT)),
     ["d" * 90 + "/" + "n" * 90]),
    ("git's global comment", gz(a_pax_header(a_record("comment", "1f2e"), b"g") + FILE + END), ["f"]),
    ("a directory in the old spelling", gz(a_header(name=b"d/") + a_header(name=b"d/f") + END), ["d/f"]),
    ("gzip members joined", gz(GOOD[:300]) + gz(GOOD[300:]), ["a"]),
    ("gzip members with padding", gz(GOOD[:300]) + bytes(5) + gz(GOOD[300:]) + bytes(5), ["a"]),
    ("a tar without its end mark", gz(FILE), ["f"]),
    ("a base-256 size", gz(a_header(size=b"\x80" + bytes(10) + b"\x05") + b"hello" + bytes(507) + END), ["f"]),
    ("a PAX size that is right", gz(a_pax_header(a_record("size", "5")) + FILE + END), ["f"]),
]


@pytest.mark.parametrize(("packed", "expected"), [pytest.param(*case[1:], id=case[0]) for case in FINE])
def test_what_tar_and_git_write_is_read(packed: bytes, expected: list[str], tmp_path: Path) -> None:
    with unpacked(tmp_path, packed) as (tree, _):
        assert names_in(tree) == expected


def test_of_the_mode_only_owner_x_is_kept(tmp_path: Path) -> None:
    modes = {"plain": 0o677, "run": 0o4744, "root": 0o6755}

    with unpacked(tmp_path, gz(a_tar(*(an_entry(name, b"x", mode=mode) for name, mode in modes.items())))) as (tree, _):
        kept = {name: node.executable for name, node in tree.children.items() if isinstance(node, File)}

    assert kept == {"plain": False, "run": True, "root": True}


def test_nothing_of_the_archive_ever_has_a_name_on_our_disk(tmp_path: Path) -> None:
    with unpacked(tmp_path, a_tar_gz({"etc/passwd": "x", "b": "y"}, a_link("l", "/etc/shadow"))) as (tree, _):
        on_disk = list(tmp_path.rglob("*"))

    assert (on_disk, tree.children["l"]) == ([], Link("/etc/shadow"))


def test_a_hard_link_is_the_earlier_file(tmp_path: Path) -> None:
    with unpacked(tmp_path, a_tar_gz({"d/f": "x"}, a_hard_link("l", "./d/f"))) as (tree, _):
        directory = tree.children["d"]
        assert isinstance(directory, Directory)
        assert tree.children["l"] == directory.children["f"]
