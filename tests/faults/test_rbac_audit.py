"""The operator's rights are read from the audit log bit by bit, and each is news once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.faults.programme import rbac_audit
from tests.faults.programme.rbac_audit import AuditLog, granted


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


@pytest.fixture
def audit(log: Path) -> Iterator[AuditLog]:
    with closing(AuditLog(log)) as audit:
        yield audit


LIST = ("agentex.scale.com", "agentbuilds", "list")
WRITE = ("agentex.scale.com", "agentbuilds/status", "patch")
NOTHING: tuple[frozenset[Any], frozenset[Any]] = (frozenset(), frozenset())


def line(right: tuple[str, str, str], code: int = 200) -> str:
    """A request of the audit log."""
    group, what, verb = right
    resource, _, subresource = what.partition("/")
    about = {"apiGroup": group, "resource": resource, "subresource": subresource}
    return json.dumps({"objectRef": about, "verb": verb, "responseStatus": {"code": code}}) + "\n"


def test_each_right_is_news_once(log: Path, audit: AuditLog) -> None:
    log.write_text(line(LIST))

    assert audit.news() == (frozenset({LIST}), frozenset())
    with log.open("a") as more:
        more.write(line(LIST) + line(WRITE))
    assert audit.news() == (frozenset({WRITE}), frozenset())
    assert audit.news() == NOTHING


def test_a_line_that_is_being_written_is_read_when_it_is_whole(log: Path, audit: AuditLog) -> None:
    whole = line(LIST)
    log.write_text(whole[:20])

    assert audit.news() == NOTHING
    log.write_text(whole)
    assert audit.news() == (frozenset({LIST}), frozenset())


def test_a_right_that_was_used_and_is_forbidden_later_is_news_again(log: Path, audit: AuditLog) -> None:
    log.write_text(line(LIST))
    audit.news()
    with log.open("a") as more:
        more.write(line(LIST, 403))

    assert audit.news() == (frozenset({LIST}), frozenset({LIST}))


def test_a_log_that_was_rotated_is_read_to_its_end_and_the_new_one_from_its_start(log: Path, audit: AuditLog) -> None:
    log.write_text(line(LIST) * 3)
    audit.news()
    with log.open("a") as more:
        more.write(line(LIST, 403))
    log.rename(log.with_name("audit-of-before.log"))
    log.write_text(line(WRITE))

    assert audit.news() == (frozenset({LIST, WRITE}), frozenset({LIST}))
    with log.open("a") as more:
        more.write(line(WRITE, 403))
    assert audit.news() == (frozenset({WRITE}), frozenset({WRITE}))


def test_a_log_that_is_not_there_yet_has_no_news(audit: AuditLog) -> None:
    assert audit.news() == NOTHING


def test_forbidden_and_unused_rights_are_findings() -> None:
    assert [str(one) for one in rbac_audit.forbidden([LIST])] == [
        "RBAC: agentex.scale.com agentbuilds list was forbidden"]
    assert list(rbac_audit.unused(granted())) == []
    assert len(list(rbac_audit.unused(granted() - {LIST}))) == 1
