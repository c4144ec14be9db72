"""The chart as the real Helm renders it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "agentex-operator"

Object = dict[str, Any]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
Render = Callable[..., "Rendered"]


class Rendered:
    """The objects of one rendering."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.objects: list[Object] = [one for one in yaml.safe_load_all(text) if one]

    def all(self, kind: str) -> list[Object]:
        """Every object of a kind."""
        return [one for one in self.objects if one["kind"] == kind]

    def only(self, kind: str) -> Object:
        """The only object of a kind."""
        [one] = self.all(kind)
        return one

    @property
    def pod(self) -> Object:
        """The operator's pod, as its Deployment would make it."""
        template: Object = self.only("Deployment")["spec"]["template"]
        return {"apiVersion": "v1", "kind": "Pod", **template}

    @property
    def container(self) -> Object:
        """The only container of the operator's pod."""
        [one] = self.pod["spec"]["containers"]
        found: Object = one
        return found


@pytest.fixture(scope="session")
def run_helm(helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Helm, with a home of its own and without a cluster."""
    home = str(tmp_path_factory.mktemp("helm"))

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(helm), *args], capture_output=True, text=True, timeout=60, check=False,
                              env={"HOME": home, "PATH": "/usr/bin:/bin"})

    return run


@pytest.fixture(scope="session")
def render(run_helm: Run) -> Render:
    """What `helm template` makes of the chart with these --set values."""

    def render(*values: str, release: str = "agentex-operator", namespace: str = "agentex-system") -> Rendered:
        sets = [word for value in values for word in ("--set", value)]
        done = run_helm("template", release, str(CHART), "--namespace", namespace, *sets)
        assert done.returncode == 0, done.stderr
        return Rendered(done.stdout)

    return render
