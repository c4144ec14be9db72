"""The wire read with suspicion: what is tolerated, what is not read at all, and that nothing breaks the reader."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentex_operator.agentex.answers import HttpAnswer, content_type, refusal
from agentex_operator.agentex.logstream import LogTail
from agentex_operator.agentex.wire import UNDATED, build_page, build_record, deployment_page, deployment_record
from agentex_operator.core.errors import ExternalError
from agentex_operator.core.ownership import with_token
from agentex_operator.core.remote import RemoteState

BUILD = {
    "id": "b-1",
    "build_status": "running",
    "agent_name": "bot",
    "agent_id": None,
    "image_name": "bot",
    "image_tag": "t1",
    "created_at": "2026-01-02T03:04:05Z",
    "cloud_provider_build_id": "ignored",
}
DEPLOYMENT = {"id": "d-1", "status": "HEALTHY", "namespace": "n", "created_at": "2026-01-02T03:04:05+00:00"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def fields(known: Iterable[str]) -> st.SearchStrategy[dict[str, object]]:
    """The known fields, each with anything at all in it."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys((*known, "deploy_events", "expires_at"), JSON))


def test_unknown_fields_are_ignored_and_times_are_utc() -> None:
    record = build_record({**BUILD, "created_at": "2026-01-02T05:04:05+02:00", "novel": {"deep": [1]}})

    assert record is not None
    assert record.created_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (record.state, record.agent_id) == (RemoteState.RUNNING, None)


def test_the_field_names_of_before_0_1_0_are_read_too() -> None:
    record = build_record({"build_id": "b-1", "status": "success", "agent_name": "bot"})

    assert record is not None
    assert (record.id, record.state) == ("b-1", RemoteState.SUCCEEDED)


@pytest.mark.parametrize("word", ["novel", None, 7, "", ["success"]])
def test_an_undocumented_state_word_is_unknown(word: object) -> None:
    build, deployment = build_record({**BUILD, "build_status": word}), deployment_record({**DEPLOYMENT, "status": word})

    assert build is not None
    assert deployment is not None
    assert build.state is deployment.state is RemoteState.UNKNOWN


@pytest.mark.parametrize("word", ["healthy", "HEALTHY", "Completed"])
def test_the_vocabularies_of_deployments_are_one(word: str) -> None:
    record = deployment_record({**DEPLOYMENT, "status": word})

    assert record is not None
    assert (record.state, record.raw_status) == (RemoteState.SUCCEEDED, word)


@pytest.mark.parametrize("crooked", [None, "", ".", "..", "a/b", "../x", "a b", "é", "x" * 129, 7, ["x"], "a\n"])
def test_an_id_that_cannot_stand_in_a_url_makes_a_record_unreadable(crooked: object) -> None:
    assert build_record({**BUILD, "id": crooked}) is None
    assert deployment_record({**DEPLOYMENT, "id": crooked}) is None


def test_a_record_without_a_date_is_kept_as_undated() -> None:
    record = build_record({**BUILD, "created_at": "yesterday"})

    assert record is not None
    assert record.created_at == UNDATED


def test_a_deployment_keeps_its_token_and_not_its_texts() -> None:
    body = {"items": [{**DEPLOYMENT, "manifest_file": with_token("a: b\n", "c/u/d/1")},
                      {**DEPLOYMENT, "id": "d-2", "manifest_file": "a: b\n", "environment_config": "e"}]}

    page = deployment_page(json.dumps(body).encode())

    assert page is not None
    assert [record.token for record in page.records] == ["c/u/d/1", None]
    assert {id_: (texts.manifest, texts.environments) for id_, texts in page.texts.items()} == {"d-2": ("a: b\n", "e")}


def test_a_page_without_has_more_may_have_more() -> None:
    page = build_page(json.dumps({"items": [BUILD, {"id": ".."}, "text"]}).encode())

    assert page is not None
    assert (page.has_more, page.length, page.last_id, len(page.records)) == (True, 3, "b-1", 1)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"items": {}}', b"\xff", b"[" * 100_000, b"null"])
def test_a_body_that_is_no_page_is_none(body: bytes) -> None:
    assert build_page(body) is None


@given(fields(BUILD) | JSON)
def test_no_json_breaks_the_reader_of_builds(value: object) -> None:
    record = build_record(value)

    assert record is None or all(len(text) <= 2048 for text in vars_of(record))


@given(fields({**DEPLOYMENT, "manifest_file": "", "environment_config": ""}) | JSON)
def test_no_json_breaks_the_reader_of_deployments(value: object) -> None:
    record = deployment_record(value)

    assert record is None or all(text.encode() is not None for text in vars_of(record))


@given(st.integers(100, 599), st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_every_answer_that_is_not_2xx_is_an_error_in_one_short_line(status: int, body: bytes) -> None:
    error = refusal(HttpAnswer(status, {}, body), "GET /x", creates=False)

    assert (error is None) == (200 <= status < 300)
    assert not isinstance(error, ExternalError) or (len(error.message) < 800 and error.message.isprintable())


def vars_of(record: object) -> list[str]:
    return [value for name in record.__slots__ if isinstance(value := getattr(record, name), str)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("header", "said"), [
    ("text/html; charset=utf-8", "text/html"), ("Application/JSON", "application/json"), ("text/a, x", "text/a"),
    ("application/problem+json", "application/problem+json"), ("", "no content type"), ("canary", "no content type"),
    ("text/canary_of=x", "no content type"), ("text/html\ncanary", "text/html"), ("a" * 99 + "/x", "no content type"),
])
def test_of_a_content_type_the_media_type_alone_is_told(header: str, said: str) -> None:
    error = refusal(HttpAnswer(500, {"content-type": header}, b"<html>"), "GET /x", creates=False)

    assert error is not None
    assert error.message.endswith(f"500: no detail ({said}).")


@given(st.text(max_size=100))
def test_any_content_type_is_a_media_type_or_none(header: str) -> None:
    said = content_type(HttpAnswer(500, {"content-type": header}, b""))

    assert said == "no content type" or (header.lower().startswith(said) and said.isascii() and len(said) <= 81)


# --- logs ---------------------------------------------------------------------------------------------------------


def tail_of(*chunks: bytes, most: int = 4096) -> tuple[str, ...]:
    tail = LogTail(most)
    for chunk in chunks:
        tail.feed(chunk)
    return tail.lines()


@pytest.mark.parametrize(
    "stream",
    [
        b'data: {"line":"one"}\n\ndata: {"line":"two"}\n\n',
        b'data: {"line":"one"}\r\n\r\ndata:{"line":"two"}\r\n\r\n',
        b': ping\n\nevent: message\nid: 1\ndata: {"line":"one"}\n\nretry: 10\n\ndata: two',
        b'data: {"line":"\\u001b[31mone\\u001b[0m"}\n\ndata: {"line":"two\\u0007"}\n\ndata: [DONE]\n\n',
    ],
)
def test_every_way_of_framing_a_line_is_read(stream: bytes) -> None:
    assert tail_of(stream) == ("one", "two")


def test_chunks_may_break_anywhere() -> None:
    stream = 'data: {"line":"größe"}\n\ndata: {"line":"two"}\n\n'.encode()

    assert tail_of(*(stream[at : at + 1] for at in range(len(stream)))) == ("größe", "two")


def test_only_the_last_lines_are_kept() -> None:
    stream = b"".join(b'data: {"line":"line %d"}\n\n' % number for number in range(10_000))

    assert tail_of(stream, most=20) == ("line 9998", "line 9999")


def test_a_line_without_an_end_takes_no_more_than_its_share() -> None:
    (line,) = tail_of(b"data: ", *([b"x" * 65_536] * 100), most=100)

    assert line == "x" * 100


def test_a_credential_in_an_event_of_the_remote_is_not_mirrored() -> None:
    said = "pull failed: password=canary at https://me:canary@registry.example.com"
    event = {"type": "Warning", "reason": "token=canary-reason", "message": said, "timestamp": None}
    record = deployment_record({"id": "d-1", "deploy_events": [event]})

    assert record is not None
    (mirrored,) = record.events
    assert ("canary" in str(mirrored), "pull failed" in mirrored.message) == (False, True)


@pytest.mark.parametrize("most", range(20, 60))
def test_no_part_of_a_credential_is_left_where_a_line_is_cut(most: int) -> None:
    tail = LogTail(most, lambda text: text.replace("canary-of-the-account", "[redacted]"))
    tail.feed(b"data: 0123456789 canary-of-the-account ghp_CANARY0123456789abcdef\n")

    assert not any(part in line.lower() for line in tail.lines() for part in ("cana", "can"))
