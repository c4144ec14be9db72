"""Imports point inwards: the contracts of .importlinter, and that they leave no module out."""

from __future__ import annotations

from configparser import ConfigParser

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports
from tests.house.tree import ROOT


def test_every_contract_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    status = lint_imports(config_filename=str(ROOT / ".importlinter"), no_cache=True)

    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_the_floors_name_every_module() -> None:
    contracts = ConfigParser()
    contracts.read(ROOT / ".importlinter")
    floors = [contracts[name] for name in contracts.sections() if contracts[name].get("type") == "layers"]

    assert floors
    assert all(contract.getboolean("exhaustive") for contract in floors)
