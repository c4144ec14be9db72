"""A manifest whose build.context.root leads above the source, as `agentex init` writes it: the source is mounted."""

from __future__ import annotations

import contextlib
import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sources.archives import a_link, a_tar_gz, unpacked

from agentex_operator.api.build import Context
from agentex_operator.core.errors import InvalidInput
from agentex_operator.core.manifest import Manifest
from agentex_operator.sources.limits import ContextLimits
from agentex_operator.sources.mount import context_root
from agentex_operator.sources.packing import staging_hash
from agentex_operator.sources.stage import read_texts, stage
from agentex_operator.sources.tree import Directory

MOUNTED = {"a part": "quote"}  # where the Dockerfile does not lie beside the manifest
RECORDED = json.loads((Path(__file__).parent / "vendor" / "contexts.json").read_text())
AGENT = {"Dockerfile": "FROM x\n", ".dockerignore": "*.log\n", "project/acp.py": "print()\n", "a.log": ""}
WHOLE = [".dockerignore", "Dockerfile", "quote/.dockerignore", "quote/Dockerfile", "quote/manifest.yaml",
         "quote/project/acp.py"]


def a_manifest(root: str = "../", include: str = "[quote]", dockerfile: str = "quote/Dockerfile",
               ignore: str = "quote/.dockerignore") -> str:
    context = f"{{root: {root}, include_paths: {include}, dockerfile: {dockerfile}, dockerignore: {ignore}}}"
    return f"build: {{context: {context}}}\nagent: {{name: quote, acp_type: sync, description: d}}\n"


def staged(tmp_path: Path, files: dict[str, str], *links: tuple[tarfile.TarInfo, bytes],
           context: Context | None = None) -> tuple[list[str], str]:
    """The paths and the hash of the build context."""
    context = context or Context()
    with unpacked(tmp_path, a_tar_gz(files, *links)) as (tree, blobs):
        texts = read_texts(tree, blobs, context.path, context.manifest)
        found = stage(texts, Manifest.parse(texts.manifest, None), context, blobs, ContextLimits())
        return sorted(found), staging_hash(found)


def paths(tmp_path: Path, manifest: str, context: Context | None = None, at: str = "",
          links: tuple[tuple[tarfile.TarInfo, bytes], ...] = ()) -> list[str]:
    files = {f"{at}{name}": content for name, content in (AGENT | {"manifest.yaml": manifest}).items()}
    return staged(tmp_path, files, *links, context=context)[0]


def why_not(tmp_path: Path, manifest: str, context: Context | None = None,
            links: tuple[tuple[tarfile.TarInfo, bytes], ...] = ()) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        paths(tmp_path, manifest, context, links=links)
    return caught.value


# --- as the vendor's packager does ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECORDED["contexts"])
def test_the_agents_directory_alone_gives_the_context_of_the_vendors_packager(name: str, tmp_path: Path) -> None:
    recorded = RECORDED["contexts"][name]
    files = {path: text for path, text in recorded["files"].items() if not text.startswith("-> ")}
    links = [a_link(path, text[3:]) for path, text in recorded["files"].items() if text.startswith("-> ")]

    found = staged(tmp_path, files, *links, context=Context(mount_path=MOUNTED.get(name)))

    assert found == (recorded["paths"], recorded["working_tree_hash"])


def test_the_record_is_of_the_vendors_release_that_the_operator_follows() -> None:
    assert RECORDED["made with"] == "agentex-sdk 0.28.4"


# --- where the source is seen ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", ["..", "../", "./..", "project/../..", "../../.."])
def test_a_root_above_the_source_sees_the_source_mounted_beside_its_dockerfile(root: str, tmp_path: Path) -> None:
    assert paths(tmp_path, a_manifest(root)) == WHOLE


def test_a_dockerfile_without_a_directory_leaves_the_source_at_the_top(tmp_path: Path) -> None:
    manifest = a_manifest("../", "[project]", "Dockerfile", ".dockerignore")

    assert paths(tmp_path, manifest) == [".dockerignore", "Dockerfile", "project/acp.py"]


def test_paths_of_the_manifest_stay_at_the_virtual_top(tmp_path: Path) -> None:
    manifest = a_manifest("../..", "[quote]", "../quote/../../quote/Dockerfile", "../../quote/.dockerignore")

    assert paths(tmp_path, manifest) == WHOLE


def test_the_mount_path_of_the_spec_goes_before_that_of_the_dockerfile(tmp_path: Path) -> None:
    manifest = a_manifest("../../", "[agents/quote/project]", "agents/quote/docker/File", "null")
    links = (a_link("docker/File", "../Dockerfile"),)

    assert paths(tmp_path, manifest, Context(mount_path="agents/./quote/"), links=links) == [
        "Dockerfile", "agents/quote/project/acp.py"]


def test_a_manifest_deeper_in_the_source_is_beside_its_dockerfile_too(tmp_path: Path) -> None:
    manifest = a_manifest("../../", "[repo/agent/project]", "repo/agent/Dockerfile", "null")

    assert paths(tmp_path, manifest, Context(path="agent"), at="agent/") == ["Dockerfile", "repo/agent/project/acp.py"]


def test_a_root_inside_the_source_uses_no_mount_path(tmp_path: Path) -> None:
    manifest = a_manifest(".", "[project]", "Dockerfile", "null")

    assert paths(tmp_path, manifest, Context(mount_path="elsewhere")) == ["Dockerfile", "project/acp.py"]


# --- nothing else is seen -------------------------------------------------------------------------------------------


def test_a_sibling_of_the_agent_is_missing_and_the_message_says_where_the_source_is(tmp_path: Path) -> None:
    error = why_not(tmp_path, a_manifest(include="[quote, shared]"))

    said = "'shared', which is missing in the source (mounted at 'quote'; spec.context.mountPath sets another place)"
    assert (error.reason, said in error.message) == ("InvalidContext", True)


def test_a_missing_dockerfile_is_named_with_the_place_of_the_source(tmp_path: Path) -> None:
    error = why_not(tmp_path, a_manifest(dockerfile="quote/docker/File"), Context(mount_path="quote"))

    assert (error.reason, "(mounted at 'quote'; spec.context.mount" in error.message) == ("DockerfileNotFound", True)


@pytest.mark.parametrize(("target", "reason"), [
    ("../../../etc/passwd", "UnsafeSymlink"), ("/etc/passwd", "UnsafeSymlink"), ("../../etc/passwd", "InvalidContext"),
    ("../secret", "InvalidContext"), ("../..", "UnsafeSymlink"), ("..", "UnsafeSymlink"),
])
def test_a_link_out_of_a_mounted_source_is_refused(target: str, reason: str, tmp_path: Path) -> None:
    assert why_not(tmp_path, a_manifest(), links=(a_link("project/l", target),)).reason == reason


@pytest.mark.parametrize("field", [
    {"dockerfile": "/etc/passwd"}, {"ignore": "/etc/passwd"}, {"include": "[/etc]"}, {"include": "[../x]"},
    {"dockerfile": '"a\\nb/Dockerfile"'}, {"dockerfile": "a\\b/Dockerfile"}, {"dockerfile": "d/" * 101 + "Dockerfile"},
    {"dockerfile": "d" * 1025 + "/Dockerfile"},
])
def test_a_path_that_no_context_may_have_is_refused(field: dict[str, str], tmp_path: Path) -> None:
    assert why_not(tmp_path, a_manifest(**field)).reason == "InvalidContext"


parts = st.lists(st.sampled_from(["..", ".", "", "quote", "project", "etc", "Dockerfile"]), max_size=6).map("/".join)


@given(root=parts, path=parts, mount=st.none() | st.sampled_from(["quote", "a/b", "."]))
def test_no_path_of_a_manifest_leaves_the_virtual_tree(root: str, path: str, mount: str | None) -> None:
    source = Directory({"project": Directory(), "quote": Directory()})
    manifest = Manifest("quote", f"../{root}", (), f"./{path}", None, "sync", "d", ())

    with contextlib.suppress(InvalidInput):
        seen = context_root((source,), manifest, Context(mount_path=mount), ContextLimits())
        found = seen.find(path)

        assert found is None or found.chain[0] is seen.chain[0]
        assert seen.chain[0] is source or len(seen.chain[0].children) == 1
