"""No file of operator/ has more than 300 lines: a reader can hold that much in mind (house.md §5)."""

from __future__ import annotations

from tests.house.tree import ROOT, modules

LONGEST = 300  # lines


def test_no_file_of_the_operator_has_more_than_300_lines() -> None:
    assert too_long() == set()


def too_long() -> set[str]:
    return {str(path.relative_to(ROOT)) for path in modules() if len(path.read_text().splitlines()) > LONGEST}
