"""The documents of the repository, and what they promise: paths, links, commands, YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.house.tree import OPERATOR, ROOT

DOCUMENTS = tuple(sorted({
    *ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md"), ROOT / "operator" / "ARCHITECTURE.md",
    *(ROOT / "operator" / "decisions").glob("*.md"), ROOT / "tests" / "faults" / "README.md",
}))
NOTES = ROOT / "deploy" / "helm" / "agentex-operator" / "templates" / "NOTES.txt"
SEEN_FROM = (ROOT, OPERATOR)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"\.?[A-Za-z][\w.-]*(/[\w.-]+)*(/|\.(py|md|toml|txt|yaml|lua)|/run|/Dockerfile)(:[\w.]+)?")
_LINK = re.compile(r"\]\(([^)#\s]+)")
# What stands before a command; an sh block has nothing else.
_PROMPTS = {"console": "$ ", "sh": ""}
# A line that a reader will type, wherever it stands.
_TYPED = re.compile(r"\s*(\$ |(make|kubectl|helm|docker|pip|uv|git|flux|curl|go|python3?|pytest|agentex-\w+) +[\w./-]|"
                    r"\.venv/bin/|\.ci/)")
# What Helm puts into the notes of the release that the README installs.
_RENDERED = {"{{ .Release.Namespace }}": "agentex-system",
             '{{ include "agentex-operator.fullname" . }}': "agentex-operator"}
# Files of a user's agent, and addresses: not ours.
_NOT_OURS = {"manifest.yaml", "environments.yaml", "values.yaml"}


@dataclass(frozen=True)
class Command:
    """One command of a document, continuation and here-document included."""

    document: str
    text: str


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


def blocks(document: Path, language: str) -> list[str]:
    """What is fenced as that language."""
    return [text for kind, text in _fences(document) if kind == language]


def prose(document: Path) -> str:
    """Everything outside of the fences."""
    return _FENCE.sub("", document.read_text())


def paths(document: Path) -> list[str]:
    """Every file or folder, with or without a `:name` in it, that is named as code."""
    spans = _SPAN.findall(prose(document))
    return [span for span in spans if _PATH.fullmatch(span) and span not in _NOT_OURS]


def first_column(document: Path, header: str) -> list[str]:
    """What is written as code in the first column of each table whose first column has this header."""
    tables = re.findall(rf"^\| {header} \|.*\n\|[-|]+\n((?:\|.*\n)+)", document.read_text(), re.MULTILINE)
    cells = [row.split("|")[1] for table in tables for row in table.splitlines()]
    return [name for cell in cells for name in _SPAN.findall(cell)]


def links(document: Path) -> list[str]:
    """Every relative link."""
    return [link for link in _LINK.findall(prose(document)) if "://" not in link]


def commands(document: Path) -> Iterator[Command]:
    """Every command in its console and sh blocks, in order; of the chart's notes, every one with a prompt."""
    for kind, block in _fences(document):
        for text in _split(block, _PROMPTS[kind])[0] if kind in _PROMPTS else ():
            yield Command(name_of(document), text)


def overlooked(document: Path) -> list[str]:
    """Lines that a reader will type and that `commands` leaves out: in another fence, or without a prompt."""
    output = [line for kind, block in _fences(document)
              for line in (_split(block, _PROMPTS[kind])[1] if kind in _PROMPTS else block.splitlines())]
    return [line for line in output if _TYPED.match(line)]


def _fences(document: Path) -> list[tuple[str, str]]:
    """Each fenced block with its language; the chart's notes are one block, as a terminal shows them."""
    text = document.read_text()
    return [("console", _rendered(text))] if document == NOTES else _FENCE.findall(text)


def _rendered(text: str) -> str:
    for template, value in _RENDERED.items():
        text = text.replace(template, value)
    return text


def _split(block: str, prompt: str) -> tuple[list[str], list[str]]:
    """Commands, each a line with the prompt and what belongs to it; and the other lines, which are output."""
    found: list[str] = []
    output: list[str] = []
    within = None
    for line in block.splitlines():
        if within is not None:
            found[-1] += f"\n{line}"
            within = None if line == within else within
        elif line.startswith(prompt) and line.strip():
            found.append(line.removeprefix(prompt))
            within = heredoc[1] if (heredoc := re.search(r"<<(\w+)$", line)) else None
        else:
            output.append(line)
    return found, output
