"""Staging equals the vendor's packager where that is safe (agentex-api.md §7), and refuses where it is not."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import threading
from pathlib import Path

import pytest
from tests.sources.archives import AGENT, a_link, a_tar_gz, an_entry, unpacked

from agentex_operator.api.build import Context
from agentex_operator.core.errors import InvalidInput
from agentex_operator.core.manifest import Manifest
from agentex_operator.sources.limits import ContextLimits
from agentex_operator.sources.packing import Staging, pack, staging_hash, working_tree_hash
from agentex_operator.sources.stage import read_texts, stage
from agentex_operator.sources.tree import Blobs, Directory

VECTOR = "5af28a95c0dfff6b9aacb11f7df26267c160d303f38909d3d9a185d4beb42a76"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
AGENT_SECTION = "agent: {name: quote, acp_type: sync, description: d}\n"


def a_manifest(root: str = ".", include: str = "[quote]", dockerfile: str = "Dockerfile", ignore: str = "null") -> str:
    context = f"{{root: {root}, include_paths: {include}, dockerfile: {dockerfile}, dockerignore: {ignore}}}"
    return f"build: {{context: {context}}}\n{AGENT_SECTION}"


def staged(tmp_path: Path, files: dict[str, str], *more: tuple[tarfile.TarInfo, bytes], path: str = ".",
           manifest: str = "manifest.yaml", **limits: int) -> list[str]:
    """The paths of the build context."""
    with unpacked(tmp_path, a_tar_gz(files, *more)) as (tree, blobs):
        return sorted(_staging(tree, blobs, path, manifest, ContextLimits(**limits)))


def _staging(tree: Directory, blobs: Blobs, path: str, manifest: str, limits: ContextLimits) -> Staging:
    texts = read_texts(tree, blobs, path, manifest)
    return stage(texts, Manifest.parse(texts.manifest, None), Context(path=path, manifest=manifest), blobs, limits)


def why_not(tmp_path: Path, files: dict[str, str], *more: tuple[tarfile.TarInfo, bytes], **where: str) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        staged(tmp_path, files, *more, **where)  # type: ignore[arg-type] # path and manifest
    return caught.value


# --- the hash -------------------------------------------------------------------------------------------------------


def test_the_hash_of_a_directory_equals_the_vendors(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    files = {"Dockerfile": "FROM x\n", "a/b.txt": "hi\n", "a/run": "#!/bin/sh\n", "a-b": "z", "aé": "u"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "a/run").chmod(0o755)
    (tmp_path / "a/l").symlink_to("b.txt")

    assert working_tree_hash(tmp_path) == VECTOR


def test_the_hash_of_nothing_is_that_of_no_bytes(tmp_path: Path) -> None:
    assert (working_tree_hash(tmp_path), staging_hash({})) == (EMPTY, EMPTY)


def test_the_hash_of_a_staging_is_that_of_the_same_files_on_disk(tmp_path: Path) -> None:
    files = {"manifest.yaml": a_manifest(include="[.]"), "Dockerfile": "FROM x\n", "a/b.txt": "hi\n", "a/run*": "#!",
             "a-b": "z", "aé": "u"}
    (tmp_path / "disk/a").mkdir(parents=True)
    for name, text in files.items():
        path = tmp_path / "disk" / name.rstrip("*")
        path.write_text(text)
        path.chmod(0o755 if name.endswith("*") else 0o640)

    with unpacked(tmp_path, a_tar_gz(files)) as (tree, blobs):
        found = staging_hash(_staging(tree, blobs, ".", "manifest.yaml", ContextLimits()))
    assert found == working_tree_hash(tmp_path / "disk")


# --- as the packager does -------------------------------------------------------------------------------------------


def test_the_dockerfile_goes_to_the_root_and_the_dockerignore_beside_it(tmp_path: Path) -> None:
    files = {"agents/quote/manifest.yaml": a_manifest("../..", "[agents/quote]", "agents/quote/Dockerfile",
                                                      "agents/quote/.dockerignore"),
             "agents/quote/Dockerfile": "FROM x", "agents/quote/.dockerignore": "*.log", "agents/quote/a.log": "",
             "agents/quote/main.py": "", "other/secret": ""}

    assert staged(tmp_path, files, path="agents/quote") == [
        ".dockerignore", "Dockerfile", "agents/quote/.dockerignore", "agents/quote/Dockerfile",
        "agents/quote/main.py", "agents/quote/manifest.yaml"]


def test_the_manifest_may_lie_deeper_and_its_directory_is_what_root_is_seen_from(tmp_path: Path) -> None:
    files = {"a/deploy/m.yaml": a_manifest("../", "[src]"), "a/Dockerfile": "", "a/src/f": ""}

    assert staged(tmp_path, files, path="a", manifest="deploy/m.yaml") == ["Dockerfile", "src/f"]


def test_the_whole_root_may_be_included_and_its_dockerfile_wins(tmp_path: Path) -> None:
    files = {"manifest.yaml": a_manifest(include="[.]", dockerfile="docker/Chosen"), "docker/Chosen": "chosen",
             "Dockerfile": "root"}

    with unpacked(tmp_path, a_tar_gz(files)) as (tree, blobs):
        staging = _staging(tree, blobs, ".", "manifest.yaml", ContextLimits())

        assert blobs.read(staging["Dockerfile"], 100) == b"root"


@pytest.mark.parametrize(("pattern", "kept"), [
    ("*.log", False), ("app.log", False), ("app.*", False), ("[a-b]pp.log", False), ("*.log # logs", False),
    ("  *.log  ", False), ("sub", False), ("su?", False),
    ("sub/", True), ("sub/app.log", True), ("/quote", True), ("**/*.tmp", True), ("!*.log", True), ("#*.log", True),
    ("*.LOG", True), ("quote", True), ("", True),
])
def test_ignore_patterns_match_base_names_only_as_in_the_packager(pattern: str, kept: bool, tmp_path: Path) -> None:
    files = AGENT | {"manifest.yaml": a_manifest(ignore="ig"), "ig": f"{pattern}\n", "quote/sub/app.log": ""}

    assert ("quote/sub/app.log" in staged(tmp_path, files)) is kept


def test_a_byte_order_mark_before_a_dockerignore_or_a_manifest_is_dropped(tmp_path: Path) -> None:
    files = AGENT | {"manifest.yaml": "\ufeff" + a_manifest(ignore="ig"), "ig": "\ufeff*.log\r\n", "quote/a.log": ""}

    assert staged(tmp_path, files) == [".dockerignore", "Dockerfile", "quote/main.py"]


def test_a_dockerignore_that_does_not_exist_is_no_error(tmp_path: Path) -> None:
    assert staged(tmp_path, AGENT) == ["Dockerfile", "quote/main.py"]


def test_without_include_paths_there_is_only_the_dockerfile(tmp_path: Path) -> None:
    assert staged(tmp_path, AGENT | {"manifest.yaml": a_manifest(include="[]")}) == ["Dockerfile"]


def test_empty_directories_are_not_staged(tmp_path: Path) -> None:
    assert staged(tmp_path, AGENT, an_entry("quote/empty", type=tarfile.DIRTYPE)) == ["Dockerfile", "quote/main.py"]


def test_include_paths_may_overlap_and_the_inner_one_is_not_ignored(tmp_path: Path) -> None:
    files = AGENT | {"manifest.yaml": a_manifest(include="[quote, quote/tests]", ignore="ig"), "ig": "tests",
                     "quote/tests/t.py": ""}

    assert "quote/tests/t.py" in staged(tmp_path, files)


@pytest.mark.parametrize("spelling", ["quote/", "./quote", "quote/.", "x/../quote", "quote//"])
def test_an_include_path_may_take_detours(spelling: str, tmp_path: Path) -> None:
    assert staged(tmp_path, AGENT | {"manifest.yaml": a_manifest(include=f"[{spelling}]")}) == [
        "Dockerfile", "quote/main.py"]


# --- links ----------------------------------------------------------------------------------------------------------


def test_links_inside_the_source_are_replaced_by_what_they_point_to(tmp_path: Path) -> None:
    links = (a_link("quote/lib", "../shared/l"), a_link("quote/copy.py", "./main.py"), a_link("shared/l", "../real"))

    assert staged(tmp_path, AGENT | {"real/l.py": ""}, *links) == [
        "Dockerfile", "quote/copy.py", "quote/lib/l.py", "quote/main.py"]


def test_the_dockerfile_the_root_and_an_include_path_may_be_links(tmp_path: Path) -> None:
    files = {"manifest.yaml": a_manifest("rootlink", "[inc]"), "real/D": "", "real/src/f": ""}
    links = (a_link("rootlink", "real"), a_link("real/Dockerfile", "D"), a_link("real/inc", "src"))

    assert staged(tmp_path, files, *links) == ["Dockerfile", "inc/f"]


def test_a_link_that_is_ignored_or_not_included_may_point_anywhere(tmp_path: Path) -> None:
    files = AGENT | {"manifest.yaml": a_manifest(ignore="ig"), "ig": ".venv"}
    links = (a_link("quote/.venv/bin/python", "/usr/bin/python3"), a_link("elsewhere", "/etc/passwd"))

    assert staged(tmp_path, files, *links) == [".dockerignore", "Dockerfile", "quote/main.py"]


@pytest.mark.parametrize("target", ["/etc/passwd", "/var/run/secrets/kubernetes.io/serviceaccount/token",
                                    "../../etc/passwd", "../../../../../../etc/passwd", "../quote/../../x", "l", "."])
def test_a_staged_link_out_of_the_source_or_in_a_circle_is_unsafe(target: str, tmp_path: Path) -> None:
    assert why_not(tmp_path, AGENT, a_link("quote/l", target)).reason == "UnsafeSymlink"


def test_two_links_to_each_other_are_unsafe(tmp_path: Path) -> None:
    assert why_not(tmp_path, AGENT, a_link("quote/a", "b"), a_link("quote/b", "a")).reason == "UnsafeSymlink"


def test_a_dangling_link_is_an_error_that_names_both_ends(tmp_path: Path) -> None:
    error = why_not(tmp_path, AGENT, a_link("quote/l", "../gone"))

    assert (error.reason, "'quote/l'" in error.message, "'../gone'" in error.message) == ("InvalidContext", True, True)


@pytest.mark.parametrize("place", ["Dockerfile", "manifest.yaml"])
def test_the_dockerfile_and_the_manifest_cannot_be_files_of_the_pod(place: str, tmp_path: Path) -> None:
    files = {name: text for name, text in AGENT.items() if name != place}

    assert why_not(tmp_path, files, a_link(place, "/etc/passwd")).reason == "UnsafeSymlink"


def test_links_that_multiply_a_small_tree_end_at_the_limit(tmp_path: Path) -> None:
    doubling = [a_link(f"d{level}/{side}", f"../d{level + 1}") for level in range(30) for side in "ab"]

    error = why_not(tmp_path, AGENT | {"manifest.yaml": a_manifest(include="[d0]"), "d30/f": "x"}, *doubling)

    assert error.reason == "ContextTooLarge"


def test_links_that_multiply_bytes_end_at_the_limit(tmp_path: Path) -> None:
    links = [a_link(f"quote/l{number}", "big") for number in range(9)]

    with pytest.raises(InvalidInput, match="larger than 5,000 bytes"):
        staged(tmp_path, AGENT | {"quote/big": "x" * 1000}, *links, unpacked=5_000)


def test_a_chain_of_links_into_the_depth_ends(tmp_path: Path) -> None:
    chain = [a_link(f"d{level}/x", f"../d{level + 1}") for level in range(300)]

    error = why_not(tmp_path, AGENT | {"manifest.yaml": a_manifest(include="[d0]"), "d300/f": ""}, *chain)

    assert error.reason == "InvalidContext"


# --- what is missing, what leads out --------------------------------------------------------------------------------


def test_a_missing_dockerfile_is_named(tmp_path: Path) -> None:
    error = why_not(tmp_path, AGENT | {"manifest.yaml": a_manifest(dockerfile="docker/File")})

    assert (error.reason, "'docker/File'" in error.message) == ("DockerfileNotFound", True)


@pytest.mark.parametrize("field", [
    {"root": "/"}, {"root": "/.."}, {"root": "../gone"}, {"root": "gone"}, {"root": "Dockerfile"},
    {"include": "[../x]"}, {"include": "[/etc]"}, {"include": "[quote/../../x]"}, {"include": "[gone]"},
    {"include": "[Dockerfile]"}, {"dockerfile": "/etc/passwd"}, {"dockerfile": "../../etc/passwd"},
    {"ignore": "/etc/passwd"}, {"ignore": "../x"},
])
def test_a_path_of_the_manifest_that_leads_out_or_to_nothing_is_refused(field: dict[str, str], tmp_path: Path) -> None:
    assert why_not(tmp_path, AGENT | {"manifest.yaml": a_manifest(**field)}).reason == "InvalidContext"


def test_an_include_path_may_not_leave_the_context_root_though_it_stays_in_the_source(tmp_path: Path) -> None:
    files = {"a/manifest.yaml": a_manifest(include="[../b]"), "a/Dockerfile": "", "b/f": ""}

    assert why_not(tmp_path, files, path="a").reason == "InvalidContext"


def test_a_file_where_a_directory_is_needed_is_refused(tmp_path: Path) -> None:
    files = {"manifest.yaml": a_manifest(include="[.]", dockerfile="docker"), "docker": "", "Dockerfile/x": ""}

    assert why_not(tmp_path, files).reason == "InvalidContext"


def test_a_missing_manifest_says_what_is_there(tmp_path: Path) -> None:
    error = why_not(tmp_path, {"README": "", "agents/quote/manifest.yaml": ""})

    assert (error.reason, "'README', 'agents'" in error.message) == ("ManifestNotFound", True)


def test_an_archive_with_one_top_level_directory_is_not_stripped_but_explained(tmp_path: Path) -> None:
    error = why_not(tmp_path, {f"repo-1f2e/agents/{name}": text for name, text in AGENT.items()}, path="agents")

    assert (error.reason, "spec.context.path to 'repo-1f2e/agents'" in error.message) == ("ManifestNotFound", True)


@pytest.mark.parametrize(("path", "manifest"), [("../x", "m"), ("/etc", "passwd"), (".", "../../m")])
def test_a_context_path_out_of_the_source_is_refused(path: str, manifest: str, tmp_path: Path) -> None:
    assert why_not(tmp_path, AGENT, path=path, manifest=manifest).reason == "InvalidContext"


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * 1_100_000], ids=["not UTF-8", "too large"])
def test_a_manifest_that_cannot_be_text_is_invalid(content: bytes, tmp_path: Path) -> None:
    assert why_not(tmp_path, {}, an_entry("manifest.yaml", content)).reason == "InvalidManifest"


def test_a_dockerignore_of_endless_patterns_is_refused(tmp_path: Path) -> None:
    assert why_not(tmp_path, AGENT | {"manifest.yaml": a_manifest(ignore="ig"), "ig": "*a*b*\n" * 600}
                   ).reason == "InvalidContext"


# --- the archive ----------------------------------------------------------------------------------------------------


def packed(tmp_path: Path, files: dict[str, str], largest: int = 10**6, order: int = 1) -> bytes:
    shuffled = dict(sorted(files.items())[::order])
    with unpacked(tmp_path, a_tar_gz(shuffled)) as (tree, blobs):
        out = tmp_path / f"out{order}"
        staging = _staging(tree, blobs, ".", "manifest.yaml", ContextLimits())
        size = pack(staging, blobs, out, largest, threading.Event())
    assert size == out.stat().st_size
    return out.read_bytes()


def test_the_same_files_give_the_same_bytes_whatever_their_order(tmp_path: Path) -> None:
    assert packed(tmp_path, AGENT, order=1) == packed(tmp_path, AGENT, order=-1)


def test_the_archive_is_sorted_and_without_owner_time_or_odd_modes(tmp_path: Path) -> None:
    files = {"manifest.yaml": a_manifest(include="[.]"), "Dockerfile": "", "a/b": "", "a-b": "", "run*": ""}

    content = packed(tmp_path, files)

    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        seen = [(one.name, one.mode, one.mtime, one.uid, one.gid, one.uname, one.type) for one in tar]
    rest = (0, 0, 0, "", b"0")
    assert seen == [("Dockerfile", 0o644, *rest), ("a-b", 0o644, *rest), ("a/b", 0o644, *rest),
                    ("manifest.yaml", 0o644, *rest), ("run", 0o755, *rest)]


def test_the_gzip_header_is_fixed(tmp_path: Path) -> None:
    assert packed(tmp_path, AGENT)[:10].hex() == "1f8b08000000000000ff"


def test_the_archive_may_be_as_large_as_allowed_and_not_a_byte_larger(tmp_path: Path) -> None:
    size = len(packed(tmp_path, AGENT))
    (tmp_path / "out1").unlink()
    exact = packed(tmp_path, AGENT, largest=size)
    (tmp_path / "out1").unlink()

    with pytest.raises(InvalidInput, match="larger than"):
        packed(tmp_path, AGENT, largest=size - 1)
    assert len(exact) == size


def test_the_hash_of_a_packed_context_is_the_announced_one(tmp_path: Path) -> None:
    content = packed(tmp_path, AGENT)

    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(content))) as tar:
        lines = [f"{one.name}\0{0o100000 | one.mode:o}\0{hashlib.sha256(tar.extractfile(one).read()).hexdigest()}"  # type: ignore[union-attr] # all are files
                 for one in tar]
    with unpacked(tmp_path, a_tar_gz(AGENT)) as (tree, blobs):
        said = staging_hash(_staging(tree, blobs, ".", "manifest.yaml", ContextLimits()))
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == said
