"""Every field of a spec that a text of the operator names exists in a CustomResourceDefinition."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.house.tree import OPERATOR, ROOT

from agentex_testkit import next_steps

KINDS = ("AgentBuild", "AgentDeployment", "AgentexAccount", "ClusterAgentexAccount")
FIELD = re.compile(r"\bspec(?:\.[a-z][A-Za-z0-9]*)+")


def texts() -> Iterator[tuple[Path, int, str]]:
    """Each literal text: the file, the line and the text; of an f-string its literal parts."""
    for path in sorted(OPERATOR.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path, node.lineno, node.value


def test_each_field_that_a_text_names_is_in_a_schema() -> None:
    unknown = [f"{path.relative_to(ROOT)}:{line} {field}" for path, line, text in texts()
               for field in FIELD.findall(text) if not any(next_steps.has_field(kind, field) for kind in KINDS)]

    assert unknown == []


def test_the_texts_are_found() -> None:
    named = {field for _, _, text in texts() for field in FIELD.findall(text)}

    assert {"spec.source.http.url", "spec.accountRef", "spec.manifest.inline"} <= named
