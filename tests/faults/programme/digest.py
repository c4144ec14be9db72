"""The digest of the code under test and of the programme: outcomes of other code never count."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
# What the outcome of a plan depends on. The hostile family takes its tables from the unit tests.
INPUTS = (
    "operator", "tests/faults", "tests/core/hostile_yaml.py", "tests/sources/archives.py",
    "tests/sources/hostile_addresses.py", "tests/sources/hostile_archives.py",
    "crds", "deploy/helm", "requirements", "tools/controlplane", "pyproject.toml",
)
NOT_CODE = (".md", ".pyc")


def digest(root: Path = ROOT) -> str:
    """Sixteen characters that change with any file that the outcome of a plan depends on."""
    whole = hashlib.sha256()
    for path in files(root):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{path.relative_to(root)} {content}\n".encode())
    return whole.hexdigest()[:16]


def files(root: Path) -> Iterator[Path]:
    """The files that count, in order: code and data, but neither documents nor what tools leave behind."""
    for name in INPUTS:
        place = root / name
        found = [place] if place.is_file() else sorted(place.rglob("*"))
        yield from (path for path in found if path.is_file() and _counts(path.relative_to(root)))


def _counts(path: Path) -> bool:
    hidden = any(part.startswith((".", "__pycache__")) or part.endswith(".egg-info") for part in path.parts)
    return not hidden and path.suffix not in NOT_CODE
