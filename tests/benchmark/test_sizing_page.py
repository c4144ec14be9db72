"""The figures and plots of docs/sizing.md are those of the results beside it: none is invented or out of date."""

from __future__ import annotations

import re

from benchmarks.load import Results
from benchmarks.plots import plots
from tests.house.tree import ROOT

PAGE = ROOT / "docs" / "sizing.md"
FOLDER = ROOT / "docs" / "sizing"


def test_its_tables_are_made_from_the_results() -> None:
    results, text = Results.read(FOLDER), PAGE.read_text()

    assert results.runs
    assert [table for table in results.tables().strip().split("\n\n") if table not in text] == []


def test_it_names_date_command_and_commit_of_the_results() -> None:
    about, text = Results.read(FOLDER).about, PAGE.read_text()

    assert about["date"].partition(" ")[0] in text
    assert about["command"].removeprefix("python -m ") in text
    assert about["commit"] in text


def test_its_plots_are_drawn_from_the_results() -> None:
    results = Results.read(FOLDER)
    drawn = plots(results.runs, times=results.times)

    assert {path.name: path.read_text() for path in FOLDER.glob("*.svg")} == drawn


def test_it_shows_every_plot() -> None:
    shown = set(re.findall(r"\]\(sizing/([\w-]+\.svg)\)", PAGE.read_text()))

    assert shown == {path.name for path in FOLDER.glob("*.svg")}
