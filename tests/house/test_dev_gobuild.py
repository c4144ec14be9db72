"""Real parts are built once per content and Go version; what is missing or fails is said with the way out."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agentex_dev import gobuild
from agentex_dev.errors import DevError
from agentex_dev.gobuild import CONTROL_PLANE, HELM, Tool
from agentex_dev.programs import find_programs

# Stands in for the Go toolchain: the real one takes minutes, and test-unit must run where there is none.
GO = """#!/bin/sh
case "$1" in
env) echo "${FAKE_GO_VERSION:-go1.26.8}"; echo linux; echo amd64 ;;
build) echo built >> "$FAKE_GO_COUNT"; sleep "${FAKE_GO_SECONDS:-0}"
  while [ "$1" != -o ]; do shift; done; echo binary > "$2"; echo "some/package" >&2; exit "${FAKE_GO_STATUS:-0}" ;;
esac
"""


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    """A small module, a cache of its own, and a Go that only pretends."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "go.mod").write_text("module x\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes v1.37.2\n")
    (source / "main.go").write_text("package main\n")
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(GO)
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FAKE_GO_COUNT", str(tmp_path / "count"))
    return replace(CONTROL_PLANE, source=source)


def builds(tmp_path: Path) -> int:
    return len((tmp_path / "count").read_text().splitlines())


@pytest.fixture
def no_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for variable in ("KUBEBUILDER_ASSETS", "TEST_ASSET_ETCD", "TEST_ASSET_KUBE_APISERVER"):
        monkeypatch.delenv(variable, raising=False)


def test_the_same_content_is_built_once(tool: Tool, tmp_path: Path) -> None:
    first, second = gobuild.built(tool), gobuild.built(tool)

    assert first == second
    assert first.read_text() == "binary\n"
    assert builds(tmp_path) == 1


@pytest.mark.parametrize("change", ["go.mod", "go.sum", "main.go", "other.go"])
def test_another_content_is_another_build(tool: Tool, change: str) -> None:
    before = gobuild.cache_key(tool, "go1.26.8")

    with (tool.source / change).open("a") as file:
        file.write("// changed\n")

    assert gobuild.cache_key(tool, "go1.26.8") != before


def test_another_go_is_another_build_and_a_note_beside_the_source_is_not(tool: Tool) -> None:
    before = gobuild.cache_key(tool, "go1.26.8")

    (tool.source / "NOTES.md").write_text("not compiled")

    assert gobuild.cache_key(tool, "go1.26.8") == before
    assert gobuild.cache_key(tool, "go1.26.9") != before


def test_two_processes_do_not_build_twice(tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_GO_SECONDS", "1")
    script = (
        "import sys, dataclasses, pathlib; from agentex_dev import gobuild as g;"
        "print(g.built(dataclasses.replace(g.CONTROL_PLANE, source=pathlib.Path(sys.argv[1]))))"
    )
    command = [sys.executable, "-c", script, str(tool.source)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60) for process in both]

    assert builds(tmp_path) == 1
    assert said[0][0] == said[1][0] != ""
    assert sum("waiting for another process that builds controlplane" in errors for _, errors in said) == 1


def test_a_failed_build_quotes_the_compiler_and_publishes_nothing(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_GO_STATUS", "1")
    with pytest.raises(DevError, match=r"Building controlplane failed(.|\n)*some/package"):
        gobuild.built(tool)

    monkeypatch.setenv("FAKE_GO_STATUS", "0")

    assert gobuild.built(tool).exists()


@pytest.mark.usefixtures("no_go")
def test_without_go_and_assets_three_remedies_are_named() -> None:
    with pytest.raises(DevError) as said:
        find_programs()

    text = str(said.value)
    assert "no `go` on PATH" in text
    assert f"1. install Go {CONTROL_PLANE.go_wanted}" in text
    assert "2. or set KUBEBUILDER_ASSETS" in text
    assert "TEST_ASSET_ETCD" in text
    assert "3. or test without Go" in text
    assert f"`make setup`, then\n     `{gobuild.WITHOUT_GO}`" in text


@pytest.mark.usefixtures("no_go")
def test_assets_of_the_environment_need_no_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("etcd", "kube-apiserver"):
        (tmp_path / name).touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))

    programs = find_programs()

    assert programs.etcd == (str(tmp_path / "etcd"),)
    assert programs.apiserver == (str(tmp_path / "kube-apiserver"),)
    assert "namespaces never finish deleting" in programs.lacking


@pytest.mark.usefixtures("no_go")
def test_an_asset_that_is_not_there_is_an_error_naming_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_ASSET_ETCD", "/nowhere/etcd")

    with pytest.raises(DevError, match="TEST_ASSET_ETCD leads to /nowhere/etcd"):
        find_programs()


@pytest.mark.usefixtures("no_go")
@pytest.mark.parametrize(("there", "missing", "variable"), [
    ("etcd", "kube-apiserver", "TEST_ASSET_KUBE_APISERVER"), ("kube-apiserver", "etcd", "TEST_ASSET_ETCD"),
])
def test_one_asset_without_the_other_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str, missing: str, variable: str
) -> None:
    (tmp_path / there).touch()
    monkeypatch.setenv(f"TEST_ASSET_{there.upper().replace('-', '_')}", str(tmp_path / there))

    with pytest.raises(DevError, match=rf"none for {missing}\. Set {variable} to one, or KUBEBUILDER_ASSETS"):
        find_programs()


def test_a_go_that_is_too_old_says_so(tool: Tool) -> None:
    too_old = '#!/bin/sh\necho "go: go.mod requires go >= 1.26.0 (running go 1.21.0; GOTOOLCHAIN=local)" >&2; exit 1\n'
    (tool.source.parent / "bin" / "go").write_text(too_old)

    with pytest.raises(DevError, match=r"requires go >= 1.26.0(.|\n)*1. install Go 1.26.0"):
        gobuild.built(tool)


@pytest.mark.parametrize(("tool", "version"), [(CONTROL_PLANE, "v1.37.2"), (HELM, "v4.3.1")])
def test_the_stamp_is_the_version_that_go_mod_asks_for(tool: Tool, version: str) -> None:
    assert f"={version}" in tool.linker_flags


def test_the_built_helm_is_the_real_one(helm: Path) -> None:
    said = subprocess.run([helm, "version", "--short"], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == HELM.version


def test_the_built_kstatus_judges_an_object(kstatus: Path) -> None:
    said = subprocess.run([kstatus], input='{"kind": "X", "apiVersion": "x/v1"}', capture_output=True, text=True,
                          check=True)

    assert said.stdout == "Current\n"
