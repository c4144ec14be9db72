"""Which etcd, kube-apiserver, kube-controller-manager and kubectl to run: assets of the environment, else ours."""

from __future__ import annotations

import os
import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from agentex_dev import gobuild
from agentex_dev.errors import DevError

DEFAULT_ASSETS = Path("/usr/local/kubebuilder/bin")


@dataclass(frozen=True)
class Programs:
    """The commands that start each part; without a controller-manager namespaces never finish deleting."""

    etcd: tuple[str, ...]
    apiserver: tuple[str, ...]
    controller_manager: tuple[str, ...] | None

    @property
    def lacking(self) -> str:
        """Say what will not work with these programs, or nothing."""
        if self.controller_manager:
            return ""
        return "no kube-controller-manager among the assets: namespaces never finish deleting, owners collect nothing"


def find_programs() -> Programs:
    """Take the assets that the environment names (envtest's rules); build ours when it names none."""
    etcd, apiserver = asset("etcd"), asset("kube-apiserver")
    if etcd is None and apiserver is None:
        return built_programs()
    if etcd is None or apiserver is None:
        raise DevError(_one_without_the_other(etcd, apiserver))
    controller_manager = asset("kube-controller-manager")
    return Programs((str(etcd),), (str(apiserver),), (str(controller_manager),) if controller_manager else None)


def built_programs() -> Programs:
    """Build all three from tools/controlplane, whatever the environment names."""
    binary = str(gobuild.built(gobuild.CONTROL_PLANE))
    return Programs((binary, "etcd"), (binary, "kube-apiserver"), (binary, "kube-controller-manager"))


def asset(name: str) -> Path | None:
    """Find a program as envtest does: TEST_ASSET_<NAME>, KUBEBUILDER_ASSETS, /usr/local/kubebuilder/bin."""
    variable = _variable(name)
    if named := os.environ.get(variable):
        return _existing(Path(named), variable)
    if folder := os.environ.get("KUBEBUILDER_ASSETS"):
        return _in_assets(Path(folder), name)
    return _if_there(DEFAULT_ASSETS / name)


def kubectl_program() -> Path:
    """Give the kubectl of this virtual environment, else an asset, else the one on PATH."""
    on_path = shutil.which("kubectl")
    ours = Path(sysconfig.get_path("scripts")) / "kubectl"
    found = _if_there(ours) or asset("kubectl") or (Path(on_path) if on_path else None)
    if found is None:
        raise DevError("There is no kubectl: run `make setup` (it installs one), or set TEST_ASSET_KUBECTL.")
    return found


def _variable(name: str) -> str:
    return f"TEST_ASSET_{name.upper().replace('-', '_')}"


def _one_without_the_other(etcd: Path | None, apiserver: Path | None) -> str:
    missing, other = ("kube-apiserver", "etcd") if etcd else ("etcd", "kube-apiserver")
    return (
        f"There is an asset {other} ({etcd or apiserver}) and none for {missing}. Set {_variable(missing)} to one, or "
        f"KUBEBUILDER_ASSETS to a folder with both; or take {other} away (unset {_variable(other)}): both are built."
    )


def _in_assets(folder: Path, name: str) -> Path | None:
    if not folder.is_dir():
        raise DevError(f"KUBEBUILDER_ASSETS is {folder}, which is no folder. Correct it or unset it.")
    needed = name in ("etcd", "kube-apiserver")
    return _existing(folder / name, "KUBEBUILDER_ASSETS") if needed else _if_there(folder / name)


def _existing(path: Path, variable: str) -> Path:
    if not path.is_file():
        raise DevError(f"{variable} leads to {path}, which does not exist. Correct it or unset it.")
    return path


def _if_there(path: Path) -> Path | None:
    return path if path.is_file() else None
