"""The audit log is read while it grows, over the end of a file, and counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks import audit_log
from benchmarks.audit_log import AuditedRequest, AuditLog, audited
from hypothesis import given
from hypothesis import strategies as st

READY = [{"type": "Ready", "status": "True"}]


def a_line(name: str = "build-0", verb: str = "patch", code: int = 200, subresource: str | None = "status",
           resource: str = "agentbuilds", **status: Any) -> bytes:
    about = {"resource": resource, "name": name} | ({"subresource": subresource} if subresource else {})
    event = {"verb": verb, "objectRef": about, "stageTimestamp": "2026-11-28T15:00:00.250000Z",
             "responseStatus": {"code": code}} | ({"requestObject": {"status": status}} if status else {})
    return json.dumps(event).encode() + b"\n"


def read(*lines: bytes) -> list[AuditedRequest]:
    return [one for line in lines if (one := audited(line.rstrip())) is not None]


def test_a_request_without_an_object_is_left_out() -> None:
    assert audited(b'{"verb": "get", "requestURI": "/version"}') is None


def test_only_writes_that_succeeded_are_counted_and_events_apart() -> None:
    requests = read(a_line(), a_line(code=409), a_line(verb="get"),
                    a_line(verb="create", resource="events", subresource=None), a_line(verb="list"))

    counted = audit_log.writes(requests)

    assert counted == {"patch agentbuilds/status": 1, "create events": 1}
    assert audit_log.without_events(counted) == 1
    assert audit_log.refusals(requests) == {"409 patch agentbuilds/status": 1}


def test_a_build_is_ready_from_the_first_accepted_patch_that_says_so() -> None:
    unknown = [{"type": "Ready", "status": "Unknown"}]
    requests = read(a_line("a", conditions=unknown), a_line("b", code=409, conditions=READY),
                    a_line("a", conditions=READY), a_line("a", conditions=READY), a_line("c", phase="Ready"))

    assert list(audit_log.first_ready(requests)) == ["a"]


def test_the_observed_generation_is_read() -> None:
    assert [one.generation for one in read(a_line(observedGeneration=2), a_line())] == [2, 0]


@given(st.lists(st.integers(1, 400), min_size=1), st.integers(0, 10))
def test_every_request_is_read_once_however_the_file_grows(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], rotated: int
) -> None:
    path = tmp_path_factory.mktemp("audit") / "audit.log"
    names = [f"build-{number}" for number in range(10)]
    log = AuditLog(path)
    log.read()
    for number, name in enumerate(names):
        if number == rotated and path.exists():
            path.rename(path.with_name("audit-older.log"))
        write_by_steps(path, a_line(name), steps, log)

    assert [one.name for one in log.requests] == names
    log.close()


def write_by_steps(path: Path, line: bytes, steps: list[int], log: AuditLog) -> None:
    """Append the line, piece by piece; after each piece, the log is read."""
    for step in [*steps, len(line)]:
        with path.open("ab") as file:
            file.write(line[:step])
        line = line[step:]
        log.read()
