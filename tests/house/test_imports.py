"""Imports point inwards: the contracts of .importlinter, and that they leave no module out."""

from __future__ import annotations

import subprocess
import sysconfig
from configparser import ConfigParser
from pathlib import Path

from tests.house.tree import ROOT

PROGRAM = Path(sysconfig.get_path("scripts")) / "lint-imports"


def test_every_contract_is_kept() -> None:
    """In a process of its own: in ours it would switch off every logger that there is."""
    done = subprocess.run([PROGRAM, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_the_floors_name_every_module() -> None:
    contracts = ConfigParser()
    contracts.read(ROOT / ".importlinter")
    floors = [contracts[name] for name in contracts.sections() if contracts[name].get("type") == "layers"]

    assert floors
    assert all(contract.getboolean("exhaustive") for contract in floors)
