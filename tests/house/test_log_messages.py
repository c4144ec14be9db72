"""The messages of the log at INFO: docs/operations.md has each of them, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.house import documents
from tests.house.tree import OPERATOR, ROOT

from agentex_operator.reconcile.remote_acts import Act

DOCUMENT = ROOT / "docs" / "operations.md"
BY_NAME = {"reconcile/remote_acts.py"}  # where the message is a member of Act


def test_every_message_is_documented_and_no_other() -> None:
    said = {message for _, message in messages() if message is not None} | set(Act)

    assert documented_messages() == sorted(said)


def test_every_message_is_constant_text() -> None:
    varying = {place for place, message in messages() if message is None}

    assert varying == BY_NAME


def test_the_message_of_the_example_is_one_of_them() -> None:
    shown = {message for text in documents.blocks(DOCUMENT, "json") for message in re.findall('"msg":"([^"]+)"', text)}

    assert shown
    assert shown <= set(documented_messages())


def messages() -> Iterator[tuple[str, str | None]]:
    """The file and the message of each line that is logged at INFO; None for a message that is not written there."""
    for path in sorted(OPERATOR.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "log.info":
                message = node.args[0]
                written = str(message.value) if isinstance(message, ast.Constant) else None
                yield str(path.relative_to(OPERATOR)), written


def documented_messages() -> list[str]:
    return sorted(documents.first_column(DOCUMENT, "message"))
