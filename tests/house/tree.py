"""The repository as the house rules see it: its tracked files, its modules, its functions."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OPERATOR = ROOT / "operator" / "agentex_operator"
PACKAGES = (OPERATOR, *(ROOT / "operator" / name for name in ("agentex_dev", "agentex_simulator", "agentex_testkit")))


@dataclass(frozen=True)
class Function:
    """A function or method, and how many lines its body has without the docstring."""

    where: str
    lines: int


@cache
def tracked() -> tuple[Path, ...]:
    """Every file git knows or would add."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    return tuple(path for name in sorted(set(filter(None, names))) if (path := ROOT / name).is_file())


def modules() -> Iterator[Path]:
    """Every module of the four packages."""
    for package in PACKAGES:
        yield from sorted(package.rglob("*.py"))


def functions() -> Iterator[Function]:
    """Every function of the four packages that has a body."""
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (lines := _length(node)):
                yield Function(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", lines)


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
    if not body or _is_stub(body):
        return 0
    return (body[-1].end_lineno or 0) - body[0].lineno + 1


def _is_stub(body: list[ast.stmt]) -> bool:
    (only, *rest) = body
    return not rest and isinstance(only, ast.Expr) and isinstance(only.value, ast.Constant)
