"""The command line of the programme, and the verb of the Makefile that calls it."""

from __future__ import annotations

import subprocess
from typing import Any

import click
import pytest
from tests.faults.__main__ import Options
from tests.faults.__main__ import main as programme
from tests.faults.programme.digest import ROOT
from tests.faults.programme.parts import Part


def options(*words: str) -> Options:
    """What these words ask for. Raises UsageError."""
    told: dict[str, Any] = programme.make_context("tests.faults", list(words)).params
    return Options(**told)


def test_a_run_without_a_selection_is_a_whole_run() -> None:
    assert options().is_whole
    assert options("--full").is_whole


def test_a_part_is_of_a_whole_run() -> None:
    assert options("--part", "2/3").is_whole
    assert options("--part", "2/3").part == Part(2, 3)


@pytest.mark.parametrize("words", [("--gate",), ("--family", "crash"), ("--only", "preview"), ("--most", "3"),
                                   ("--replay", "learn/build-runs"), ("--list",)])
def test_a_selection_is_no_whole_run_and_has_no_parts(words: tuple[str, ...]) -> None:
    assert not options(*words).is_whole
    with pytest.raises(click.UsageError, match="a whole run"):
        options("--part", "1/2", *words)


@pytest.mark.parametrize("text", ["4/3", "0/1", "two"])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write k/n"):
        options("--part", text)


@pytest.mark.parametrize(("given", "passed_on"), [
    ((), ""), (("PART=2/3",), "--part 2/3"), (("FULL=1",), "--full"), (("FULL=1", "PART=1/4"), "--full --part 1/4"),
])
def test_make_passes_on_what_is_wanted(given: tuple[str, ...], passed_on: str) -> None:
    shown = subprocess.run(["make", "--dry-run", "test-faults", *given], cwd=ROOT, capture_output=True, text=True,
                           check=True).stdout

    assert shown.splitlines()[-1].split("tests.faults")[1].split() == passed_on.split()
