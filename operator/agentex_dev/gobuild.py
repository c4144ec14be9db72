"""Builds the real parts from their Go modules, once per content, into the user's cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from agentex_dev.errors import DevError, tail
from agentex_dev.parts import Part
from agentex_dev.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

TOOLS = Path(__file__).resolve().parents[2] / "tools"
FLAGS = ("-trimpath", "-buildvcs=false", "-mod=readonly")
WITHOUT_GO = '.venv/bin/pytest --cluster=existing -m "not needs_control_plane and not needs_helm and not needs_kstatus"'


@dataclass(frozen=True)
class Tool:
    """A program we build from a Go module below tools/; `stamps` are linker variables that get `module`'s version."""

    name: str
    package: str
    module: str
    stamps: tuple[tuple[str, str], ...]
    seconds: int
    remedies: str
    source: Path

    @property
    def version(self) -> str:
        """Give the version of the module that the tool is, as go.mod asks for it."""
        found = re.search(rf"^\s*(?:require )?{re.escape(self.module)} (v\S+)", self._go_mod, re.MULTILINE)
        if found is None:
            raise DevError(f"{self.source / 'go.mod'} does not ask for {self.module}")
        return found[1]

    @property
    def go_wanted(self) -> str:
        """Give the Go version that go.mod asks for."""
        found = re.search(r"^go (\S+)", self._go_mod, re.MULTILINE)
        return found[1] if found else "(none given)"

    @property
    def linker_flags(self) -> str:
        """Strip the symbols and stamp the version: unstamped, kube-apiserver says v0.0.0 and clients balk."""
        major, minor = self.version.removeprefix("v").split(".")[:2]
        words = {"version": self.version, "major": major, "minor": minor}
        return " ".join(["-s", "-w", *(f"-X {variable}={text.format(**words)}" for variable, text in self.stamps)])

    @property
    def _go_mod(self) -> str:
        return (self.source / "go.mod").read_text()


_KUBE_VERSION = "k8s.io/component-base/version"
CONTROL_PLANE = Tool(
    name="controlplane",
    package=".",
    module="k8s.io/kubernetes",
    stamps=(
        (f"{_KUBE_VERSION}.gitVersion", "{version}"),
        (f"{_KUBE_VERSION}.gitMajor", "{major}"),
        (f"{_KUBE_VERSION}.gitMinor", "{minor}"),
    ),
    seconds=360,
    remedies=(
        "  1. install Go {go} or later (https://go.dev/dl) and try again; the build takes minutes, once;\n"
        "  2. or set KUBEBUILDER_ASSETS to a folder with etcd and kube-apiserver (`setup-envtest use -p path`),\n"
        "     or TEST_ASSET_ETCD and TEST_ASSET_KUBE_APISERVER to the two programs;\n"
        "  3. or test without Go, on a cluster you have: `make setup`, then\n"
        f"     `{WITHOUT_GO}`\n"
        "     (current context kind-*, k3d-* or minikube; or --cluster=kind). That leaves out the tests of the\n"
        "     control plane itself and of the chart; `make test` and `make demo` have to build."
    ),
    source=TOOLS / "controlplane",
)
HELM = Tool(
    name="helm",
    package="helm.sh/helm/v4/cmd/helm",
    module="helm.sh/helm/v4",
    stamps=(("helm.sh/helm/v4/internal/version.version", "{version}"),),
    seconds=100,
    remedies=(
        "  1. install Go {go} or later (https://go.dev/dl) and try again; the build takes minutes, once;\n"
        "  2. or leave out the tests that run Helm: `make setup`, then `.venv/bin/pytest -m \"not needs_helm\"`."
    ),
    source=TOOLS / "helm",
)
KSTATUS = Tool(
    name="kstatus",
    package=".",
    module="github.com/fluxcd/cli-utils",
    stamps=(),
    seconds=30,
    remedies=(
        "  1. install Go {go} or later (https://go.dev/dl) and try again; the build takes half a minute, once;\n"
        "  2. or leave out the tests that run kstatus: `make setup`, then `.venv/bin/pytest -m \"not needs_kstatus\"`."
    ),
    source=TOOLS / "kstatus",
)
TOOLS_BY_NAME = {tool.name: tool for tool in (CONTROL_PLANE, HELM, KSTATUS)}


def cache_folder() -> Path:
    """Give the folder below which every built tool is kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "agentex-operator" / "tools"


def cache_key(tool: Tool, go_version: str) -> str:
    """Give the same key for the same sources, flags and Go, and another one for any other."""
    digest = hashlib.sha256(" ".join((go_version, tool.package, tool.linker_flags, *FLAGS)).encode())
    for path in sorted(p for p in tool.source.rglob("*") if p.suffix == ".go" or p.name in ("go.mod", "go.sum")):
        content = path.read_bytes()
        digest.update(f"\0{path.relative_to(tool.source)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:20]


def built(tool: Tool) -> Path:
    """Give the tool's binary, building it first when the cache has none for this content and this Go."""
    target = cache_folder() / tool.name / cache_key(tool, _go_version(tool)) / tool.name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target.parent / "lock", tool):
            _build_unless_there(tool, target)
    return target


def _go_version(tool: Tool) -> str:
    if shutil.which("go") is None:
        raise DevError(f"{tool.name} has to be built and there is no `go` on PATH. Do one of these:\n{_remedies(tool)}")
    # Inside the module, so that GOTOOLCHAIN can pick the version that go.mod asks for, or refuse.
    question = ["go", "env", "GOVERSION", "GOOS", "GOARCH"]
    answer = subprocess.run(question, cwd=tool.source, env=_environment(), capture_output=True, text=True, check=False)
    if answer.returncode:
        raise DevError(f"The `go` on PATH cannot build {tool.name}: {answer.stderr.strip()}\n{_remedies(tool)}")
    return " ".join(answer.stdout.split())


def _remedies(tool: Tool) -> str:
    return tool.remedies.format(go=tool.go_wanted)


def _environment() -> dict[str, str]:
    # GOGC trades memory for a tenth of the time; GOWORK and GOFLAGS of the developer are for their own modules.
    return {**os.environ, "CGO_ENABLED": "0", "GOGC": "400", "GOWORK": "off", "GOFLAGS": ""}


@contextmanager
def _alone(lock: Path, tool: Tool) -> Iterator[None]:
    with lock.open("w") as held:
        if not _taken(held):
            with Progress(f"waiting for another process that builds {tool.name}"):
                while not _taken(held):
                    time.sleep(0.2)
        yield


def _taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _build_unless_there(tool: Tool, target: Path) -> None:
    if target.exists():
        return
    partial = target.with_name(f"{tool.name}.partial")
    log = target.with_name("build.log")
    log.unlink(missing_ok=True)
    with Progress(_announcement(tool), lambda: _compiled_so_far(log)):
        _compile(tool, partial, log)
    partial.replace(target)


def _announcement(tool: Tool) -> str:
    return f"building {tool.name} {tool.version} (once; about {tool.seconds} s on two cores from nothing)"


def _compile(tool: Tool, output: Path, log: Path) -> None:
    flags = (*FLAGS, "-v", f"-ldflags={tool.linker_flags}")
    compiler = Part("go build", ["go", "build", *flags, "-o", str(output), tool.package], log)
    compiler.start(environment=_environment(), folder=tool.source)
    try:
        status = compiler.wait()
    finally:
        compiler.end()
    if status:
        raise DevError(f"Building {tool.name} failed. The end of {log}:\n{tail(log)}")


def _compiled_so_far(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    downloads = sum(line.startswith("go: downloading") for line in lines)
    compiled = len(lines) - downloads
    return f"{compiled} packages compiled" if compiled else f"{downloads} modules downloaded" if downloads else ""
