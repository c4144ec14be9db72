"""No file of operator/ has more than 300 lines: a reader can hold that much in mind (house.md §5)."""

from __future__ import annotations

from tests.house.tree import ROOT, modules

LONGEST = 300  # lines
TOO_LONG_FOR_NOW = {
    "operator/agentex_simulator/records.py",
}


def test_no_file_of_the_operator_has_more_than_300_lines() -> None:
    assert too_long() - TOO_LONG_FOR_NOW == set()


def test_every_exception_still_exists_and_is_still_too_long() -> None:
    assert TOO_LONG_FOR_NOW - too_long() == set()


def too_long() -> set[str]:
    return {str(path.relative_to(ROOT)) for path in modules() if len(path.read_text().splitlines()) > LONGEST}
