"""reliability.md §2(f): every hostile archive is refused with a reason, or harmless; nothing leaves the directory."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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
    with_checksum,
)
from tests.sources.hostile_archives import END, FILE, GOOD, LIMITED, REFUSED, gz

from agentex_operator.core.errors import InvalidInput
from agentex_operator.sources.tree import Blobs, Directory, File, Link
from agentex_testkit import samples


@pytest.mark.parametrize(("packed", "reason"), [pytest.param(*case[1:], id=case[0]) for case in REFUSED])
def test_a_hostile_archive_is_refused_with_its_reason(packed: bytes, reason: str, tmp_path: Path) -> None:
    error = refusal(tmp_path, packed)

    assert (error and error.reason, list(tmp_path.iterdir())) == (reason, [])


def test_every_refusal_is_a_short_printable_sentence_with_a_next_step(tmp_path: Path) -> None:
    messages = [error.message for _, packed, _ in REFUSED if (error := refusal(tmp_path, packed))]

    assert [text for text in messages if len(text) > 400 or not text.isprintable() or not text.endswith(".")] == []


# --- limits ---------------------------------------------------------------------------------------------------------


def test_more_entries_than_allowed_are_refused(tmp_path: Path) -> None:
    packed = a_tar_gz({str(number): "" for number in range(11)})

    assert [refusal(tmp_path, packed, entries=allowed) is None for allowed in (11, 10)] == [True, False]


@pytest.mark.parametrize("name", LIMITED)
def test_an_archive_beyond_a_limit_is_refused_with_its_reason(name: str, tmp_path: Path) -> None:
    make, limits, reason = LIMITED[name]

    error = refusal(tmp_path, make(), **limits)

    assert (error and error.reason, list(tmp_path.iterdir())) == (reason, [])


@pytest.mark.parametrize(("allowed", "fits"), [(9, False), (10, True), (11, True)])
def test_the_limit_of_unpacked_bytes_is_exact(allowed: int, fits: bool, tmp_path: Path) -> None:
    assert (refusal(tmp_path, a_tar_gz({"a": "12345", "b": "12345"}), unpacked=allowed) is None) is fits


def test_a_gzip_bomb_is_refused_by_its_ratio_long_before_it_is_unpacked(tmp_path: Path) -> None:
    error = refusal(tmp_path, gzip.compress(a_tar(an_entry("zeros", bytes(40_000_000)))), ratio_from=1_000_000)

    assert error is not None
    assert "200 times its size" in error.message


BOUNDED = """
import io, resource, sys, tempfile, threading, gzip, os
from pathlib import Path
from agentex_operator.sources.archive import read_tree
from agentex_operator.sources.limits import ContextLimits
from agentex_operator.sources.packing import pack
from agentex_operator.sources.tree import Blobs
from tests.sources.archives import a_header
room = Path(sys.argv[1])
with gzip.open(room / "big.tar.gz", "wb", compresslevel=0) as out:
    out.write(a_header(size=b"%011o\\0" % 40_000_000))
    noise = os.urandom(1_000_000)
    for _ in range(40):
        out.write(noise)
    out.write(bytes(-40_000_000 % 512) + bytes(1024))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
blobs = Blobs(room / "blobs")
with open(room / "big.tar.gz", "rb") as packed:
    tree = read_tree(packed, blobs, ContextLimits(), threading.Event())
os.unlink(room / "big.tar.gz")
size = pack({"f": tree.children["f"]}, blobs, room / "out", 41_000_000, threading.Event())
blobs.close()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_40_mb_are_read_and_packed_with_less_than_20_mb_more_memory(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", BOUNDED, str(tmp_path)], capture_output=True, text=True, check=True)

    assert int(run.stdout) < 20_000  # KiB


# --- what is fine ---------------------------------------------------------------------------------------------------


def names_in(directory: Directory, prefix: str = "") -> list[str]:
    found = []
    for name, node in sorted(directory.children.items()):
        found += names_in(node, f"{prefix}{name}/") if isinstance(node, Directory) else [prefix + name]
    return found


APPLE_DOUBLE = bytes.fromhex("00051607") + b"rest"

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
    ("a number that ends before its field", gz(a_header(size=b"5\0 junk\0\0\0\0\0") + FILE[512:] + END), ["f"]),
    ("a checksum of signed bytes", gz(with_checksum(a_header(name="é".encode()), signed=True) + END), ["é"]),
    ("an old tar without magic", gz(a_header(magic=b"") + END), ["f"]),
    ("an old GNU header, with a time where ustar has a prefix",
     gz(with_checksum(a_header(magic=b"ustar  \0")[:345] + b"14720000000\0" + bytes(155)) + END), ["f"]),
    ("a volume label", gz(a_header(name=b"my label", flag=b"V") + FILE + END), ["f"]),
    ("a PAX header of Solaris", gz(a_pax_header(a_record("path", "g"), b"X") + FILE + END), ["g"]),
    ("a PAX header filled with zeros", gz(a_pax_header(a_record("path", "g") + bytes(9)) + FILE + END), ["g"]),
    ("a PAX value taken back", gz(a_pax_header(a_record("path", "g") + a_record("path", "")) + FILE + END), ["f"]),
    ("a hard link that states the size of its file",
     gz(FILE + with_checksum(a_header(name=b"l", flag=b"1", size=b"00000000005\0")[:157] + b"f" + bytes(99)
                             + a_header()[257:]) + END), ["f", "l"]),
    ("a file twice, equal", a_tar_gz({}, an_entry("./a", b"1"), an_entry("a", b"1")), ["a"]),
    ("a link twice, equal", a_tar_gz({}, a_link("l", "a"), a_link("l", "a")), ["l"]),
    ("a file and a hard link to itself", a_tar_gz({"a": "1"}, a_hard_link("a", "./a")), ["a"]),
    ("something after the end that is no entry", gz(GOOD + b"what was in the buffer" * 100), ["a"]),
    ("files of macOS", a_tar_gz({"a/b": "", "a/._b": APPLE_DOUBLE, "._a": APPLE_DOUBLE, ".DS_Store": "x",
                                 "a/.DS_Store": "", "a/Icon\r": "", "Icon\r": "", "._plain": "text", "a/._": ""}),
     ["._plain", "a/._", "a/b"]),
    ("a hard link to a file of macOS", a_tar_gz({"._a": APPLE_DOUBLE}, a_hard_link("._b", "._a"),
                                                a_hard_link("c", "._a")), ["c"]),
    ("a PAX size that is right", gz(a_pax_header(a_record("size", "5")) + FILE + END), ["f"]),
]


@pytest.mark.parametrize(("packed", "expected"), [pytest.param(*case[1:], id=case[0]) for case in FINE])
def test_archives_of_tar_and_git_are_read(packed: bytes, expected: list[str], tmp_path: Path) -> None:
    with unpacked(tmp_path, packed) as (tree, _):
        assert names_in(tree) == expected


REAL = {"a": "1", "d/run*": "#!", "d/" + "long" * 30: "x", "é/日本": "y" * 2000}


@pytest.mark.parametrize("form", ["v7", "oldgnu", "gnu", "ustar", "posix"])
@pytest.mark.parametrize("options", [[], ["--label=backup", "-b200"], ["--numeric-owner", "--mtime=@-1"]], ids=str)
def test_what_gnu_tar_writes_is_read_as_python_reads_it(form: str, options: list[str], tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name, text in REAL.items():
        path = source / name.rstrip("*")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if name.endswith("*") else 0o644)
    (source / "l").symlink_to("d/run")
    (source / "h").hardlink_to(source / "a")
    if form in {"v7", "ustar"}:  # neither labels, nor times before 1970, nor names of more than 99 bytes
        options = [one for one in options if "=" not in one]
        (source / "d" / ("long" * 30)).unlink()

    run = subprocess.run(["tar", "-C", source, f"--format={form}", *options, "-cf-", ".", "./a"], check=True,
                         capture_output=True)

    with tarfile.open(fileobj=io.BytesIO(run.stdout)) as tar:
        expected = {one.name.removeprefix("./") for one in tar if one.isfile() or one.issym() or one.islnk()}
    with unpacked(tmp_path, gz(run.stdout)) as (tree, _):
        assert set(names_in(tree)) == expected - {"backup"}


def test_of_the_mode_only_owner_x_is_kept(tmp_path: Path) -> None:
    modes = {"plain": 0o677, "run": 0o4744, "root": 0o6755}

    with unpacked(tmp_path, gz(a_tar(*(an_entry(name, b"x", mode=mode) for name, mode in modes.items())))) as (tree, _):
        kept = {name: node.executable for name, node in tree.children.items() if isinstance(node, File)}

    assert kept == {"plain": False, "run": True, "root": True}


def test_no_name_of_an_archive_becomes_a_file_name_on_disk(tmp_path: Path) -> None:
    with unpacked(tmp_path, a_tar_gz({"etc/passwd": "x", "b": "y"}, a_link("l", "/etc/shadow"))) as (tree, _):
        on_disk = list(tmp_path.rglob("*"))

    assert (on_disk, tree.children["l"]) == ([], Link("/etc/shadow"))


def test_a_hard_link_is_the_earlier_file(tmp_path: Path) -> None:
    with unpacked(tmp_path, a_tar_gz({"d/f": "x"}, a_hard_link("l", "./d/f"))) as (tree, _):
        directory = tree.children["d"]
        assert isinstance(directory, Directory)
        assert tree.children["l"] == directory.children["f"]


# --- what other programs write --------------------------------------------------------------------------------------

Files = dict[str, tuple[bytes, int]]
components = st.text("ab.-_ é日\U0001f600", min_size=1, max_size=70).filter(lambda one: one.strip(".") != "")
archived = st.dictionaries(st.lists(components, min_size=1, max_size=4).map("/".join),
                           st.tuples(st.binary(max_size=600), st.sampled_from([0o644, 0o755, 0o600])), max_size=6)


@given(archived, st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]), st.booleans())
@settings(max_examples=samples.examples(60), deadline=None)
def test_what_python_writes_is_read_with_all_of_its_files(files: Files, form: int, is_cut_at_the_end: bool) -> None:
    raw = a_tar(*(an_entry(name, content, mode=mode) for name, (content, mode) in files.items()), form=form)
    whole = raw[:-(1024 * is_cut_at_the_end)] if is_cut_at_the_end else raw
    clash = any(other.startswith(f"{one}/") for one in files for other in files)

    with tempfile.TemporaryDirectory() as place:
        try:
            with unpacked(Path(place), gz(whole)) as (tree, blobs):
                found = contents(tree, blobs)
        except InvalidInput as error:
            found = {"refused": (error.reason.encode(), False)}

    wanted = {name: (content, bool(mode & 0o100)) for name, (content, mode) in files.items()}
    assert found == (wanted if files and not clash else {"refused": (b"InvalidContext", False)})


def contents(directory: Directory, blobs: Blobs, prefix: str = "") -> dict[str, tuple[bytes | None, bool]]:
    """The files of a tree, each with its content and whether it is executable."""
    found: dict[str, tuple[bytes | None, bool]] = {}
    for name, node in directory.children.items():
        if isinstance(node, Directory):
            found |= contents(node, blobs, f"{prefix}{name}/")
        elif isinstance(node, File):
            found[prefix + name] = (blobs.read(node, 1000), node.executable)
    return found
