"""The documents of the repository, and what they promise: paths, links, commands, YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.house.tree import OPERATOR, ROOT

DOCUMENTS = tuple(sorted({
    *ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md"), ROOT / "operator" / "ARCHITECTURE.md",
    *(ROOT / "operator" / "decisions").glob("*.md"),
}))
SEEN_FROM = (ROOT, OPERATOR)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"\.?[A-Za-z][\w.-]*(/[\w.-]+)*(/|\.(py|md|toml|txt|yaml|lua)|/run|/Dockerfile)(:[\w.]+)?")
_LINK = re.compile(r"\]\(([^)#\s]+)")
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
    return [text for kind, text in _FENCE.findall(document.read_text()) if kind == language]


def prose(document: Path) -> str:
    """Everything outside of the fences."""
    return _FENCE.sub("", document.read_text())


def paths(document: Path) -> list[str]:
    """Every file or folder, with or without a `:name` in it, that is named as code."""
    spans = _SPAN.findall(prose(document))
    return [span for span in spans if _PATH.fullmatch(span) and span not in _NOT_OURS]


def links(document: Path) -> list[str]:
    """Every relative link."""
    return [link for link in _LINK.findall(prose(document)) if "://" not in link]


def commands(document: Path) -> Iterator[Command]:
    """Every command in its console and sh blocks, in order."""
    for block in (*blocks(document, "console"), *blocks(document, "sh")):
        for text in _prompted(block):
            yield Command(name_of(document), text)


def _prompted(block: str) -> list[str]:
    """A line that begins with `$ `, and what belongs to it; other lines without a prompt before them are output."""
    found: list[str] = []
    within = None
    for line in block.splitlines():
        if line.startswith("$ ") and within is None:
            found.append(line.removeprefix("$ "))
            within = heredoc[1] if (heredoc := re.search(r"<<(\w+)$", line)) else None
        elif within is not None:
            found[-1] += f"\n{line}"
            within = None if line == within else within
    return found
