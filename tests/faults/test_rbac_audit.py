"""The operator's rights are read from the audit log bit by bit, and each is news once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.faults.programme import rbac_audit
from tests.faults.programme.rbac_audit import AuditLog, granted

LIST = ("agentex.scale.com", "agentbuilds", "list")
WRITE = ("agentex.scale.com", "agentbuilds/status", "patch")
NOTHING: tuple[frozenset[Any], frozenset[Any]] = (frozenset(), frozenset())


def line(right: tuple[str, str, str], code: int = 200) -> str:
    """A request of the audit log."""
    group, what, verb = right
    resource, _, subresource = what.partition("/")
    about = {"apiGroup": group, "resource": resource, "subresource": subresource}
    return json.dumps({"objectRef": about, "verb": verb, "responseStatus": {"code": code}}) + "\n"


def test_each_right_is_news_once(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(line(LIST))
    audit = AuditLog(log)

    assert audit.news() == (frozenset({LIST}), frozenset())
    with log.open("a") as more:
        more.write(line(LIST) + line(WRITE))
    assert audit.news() == (frozenset({WRITE}), frozenset())
    assert audit.news() == NOTHING


def test_a_line_that_is_being_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    log, whole = tmp_path / "audit.log", line(LIST)
    log.write_text(whole[:20])
    audit = AuditLog(log)

    assert audit.news() == NOTHING
    log.write_text(whole)
    assert audit.news() == (frozenset({LIST}), frozenset())


def test_a_right_that_was_used_and_is_forbidden_later_is_news_again(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(line(LIST))
    audit = AuditLog(log)
    audit.news()
    with log.open("a") as more:
        more.write(line(LIST, 403))

    assert audit.news() == (frozenset({LIST}), frozenset({LIST}))


def test_a_log_that_is_not_there_yet_has_no_news(tmp_path: Path) -> None:
    assert AuditLog(tmp_path / "audit.log").news() == NOTHING


def test_forbidden_and_unused_rights_are_findings() -> None:
    assert [str(one) for one in rbac_audit.forbidden([LIST])] == [
        "RBAC: agentex.scale.com agentbuilds list was forbidden"]
    assert list(rbac_audit.unused(granted())) == []
    assert len(list(rbac_audit.unused(granted() - {LIST}))) == 1
