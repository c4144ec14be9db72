"""Log lines: one JSON object each, with its context, and no secret in any encoding."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import logging
import time
import traceback
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentex_operator import logs

QUIETED = ("kopf.objects", "kopf.activities", "kopf", "httpx", "httpcore", "aiohttp.access", "asyncio")
SECRET = 'sk-live/4"q\\7+Ünï code'


@pytest.fixture
def redactor() -> logs.Redactor:
    redactor = logs.Redactor()
    redactor.add(SECRET)
    return redactor


@pytest.fixture(params=["json", "text"])
def said(request: pytest.FixtureRequest, redactor: logs.Redactor) -> Iterator[io.StringIO]:
    """What comes out, with every logger given back as it was."""
    root = logging.getLogger()
    before = list(root.handlers)
    levels = {logger: logger.level for logger in (root, *map(logging.getLogger, QUIETED))}
    stream = io.StringIO()
    logs.configure(form=request.param, level="debug", redactor=redactor, stream=stream)
    yield stream
    root.handlers[:] = before
    for logger, level in levels.items():
        logger.setLevel(level)
    logging.captureWarnings(False)


def spellings(secret: str) -> list[str]:
    raw = secret.encode()
    joined = [base64.b64encode(prefix + raw + b":tail").decode() for prefix in (b"", b"u:", b"us:", b"user:")]
    plain = [secret, quote(secret), quote(secret, safe=""), repr({"key": secret}), base64.b64encode(raw).decode()]
    return [*plain, base64.urlsafe_b64encode(raw).decode(), *joined]


def test_a_secret_is_redacted_in_every_field_and_every_encoding(said: io.StringIO) -> None:
    log = logs.logger("agentex_operator.test")
    for spelling in spellings(SECRET):
        log.info("said", text=spelling, nested={"list": [spelling], spelling: 1})
        logging.getLogger("kopf.activities").warning("library says %s", spelling)
        try:
            raise RuntimeError(spelling)
        except RuntimeError:
            log.exception("failed")

    out = said.getvalue()
    assert "[redacted]" in out
    for spelling in [*spellings(SECRET)[:2], SECRET[:12], json.dumps(SECRET)[1:-1]]:
        assert spelling not in out
    assert base64.b64encode(SECRET.encode()).decode()[:16] not in out


def test_a_record_that_cannot_be_written_is_reported_without_its_content(
    said: io.StringIO, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [one for one in root.handlers if getattr(one, "stream", None) is said])
    logging.getLogger("kopf.activities").warning("a number of %d", SECRET)
    logging.getLogger("kopf.activities").warning("and what comes after")

    first, second = said.getvalue().splitlines()
    assert "could not be written" in first
    assert "kopf.activities" in first
    assert "test_logs.py:" in first
    assert "and what comes after" in second
    assert SECRET[:8] not in said.getvalue() + "".join(capsys.readouterr())


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.text(min_size=8, max_size=40).filter(str.strip), st.binary(max_size=5), st.binary(max_size=5))
def test_no_eight_bytes_of_a_secret_survive_in_a_longer_base64(secret: str, before: bytes, after: bytes) -> None:
    redactor = logs.Redactor()
    redactor.add(secret)
    raw = secret.encode()

    cleaned = redactor.clean(base64.b64encode(before + raw + after).decode())

    offset = len(before) % 3
    whole_groups = base64.b64encode(raw[(3 - offset) % 3 :])[: (len(raw) - 2) // 3 * 4].decode()
    assert whole_groups[:8] not in cleaned or len(whole_groups) < 8


def test_a_line_has_the_keys_of_controller_runtime(redactor: logs.Redactor) -> None:
    line = logs.JsonLines(redactor)
    record = logging.LogRecord("agentex_operator.x", logging.INFO, __file__, 1, "plan", (), None)
    record.fields = {"reason": "Building", "revision": None}
    with logs.bound(kind="AgentBuild", namespace="team", name="a", reconcileID="r1"):
        fields = json.loads(line.format(record))

    assert list(fields) == ["ts", "level", "logger", "msg", "kind", "namespace", "name", "reconcileID", "reason"]
    assert fields["ts"].endswith("Z")
    assert (fields["level"], fields["msg"]) == ("info", "plan")


async def test_context_belongs_to_its_task_and_ends_with_its_block(said: io.StringIO) -> None:
    async def speak(name: str) -> None:
        with logs.bound(name=name):
            await asyncio.sleep(0)
            logs.logger("t").info("inside")
        logs.logger("t").info("outside")

    await asyncio.gather(speak("first-one"), speak("second-one"))

    lines = said.getvalue().splitlines()
    assert sum("first-one" in line for line in lines) == sum("second-one" in line for line in lines) == 1
    assert len(lines) == 4


def test_an_error_is_one_line_of_json_with_its_trace(redactor: logs.Redactor) -> None:
    try:
        raise ValueError("bad\nvalue")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
        trace = traceback.format_exc().strip()
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed", (), info)

    line = logs.JsonLines(redactor).format(record)

    assert "\n" not in line
    assert json.loads(line)["stacktrace"] == trace


def test_a_message_cannot_forge_a_second_line(redactor: logs.Redactor) -> None:
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "evil\n2026 INFO fine\x1b[2J", (), None)
    record.fields = {"name": "a\nb\x1b"}

    for line in (logs.JsonLines(redactor).format(record), logs.TextLines(redactor).format(record)):
        assert "\n" not in line
        assert "\x1b" not in line


def test_kopf_logs_nothing_for_every_event(said: io.StringIO) -> None:
    logging.getLogger("kopf.objects").info("Handler succeeded.")
    logging.getLogger("kopf.objects").warning("odd", extra={"k8s_ref": {"name": "thing-a", "namespace": "team"}})

    assert "succeeded" not in said.getvalue()
    assert "thing-a" in said.getvalue()


def test_thousands_of_secrets_are_redacted_in_bounded_time() -> None:
    redactor = logs.Redactor()
    secrets = [f"canary-{hashlib.sha256(bytes(number)).hexdigest()}" for number in range(2_000)]
    began = time.process_time()
    for secret in secrets:
        redactor.add(secret)
    shown = redactor.clean(" ".join(secrets))

    assert time.process_time() - began < 10  # an expression of all of them takes minutes
    assert shown == " ".join(["[redacted]"] * len(secrets))


@given(st.lists(st.text("abcd=%", min_size=4, max_size=8), max_size=4), st.text("abcd=%", max_size=40))
def test_no_secret_is_left_in_any_text(secrets: list[str], text: str) -> None:
    redactor = logs.Redactor()
    for secret in secrets:
        redactor.add(secret)

    assert not [secret for secret in secrets if secret in redactor.clean(text)]


def test_a_value_too_short_to_be_a_secret_is_not_redacted() -> None:
    redactor = logs.Redactor()
    for trifle in ("", " ", "a", "abc", b"ab"):
        redactor.add(trifle)

    assert redactor.clean("abc a b") == "abc a b"
