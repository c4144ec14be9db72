"""Whatever bytes and headers the remote API answers: a record, None or an error of core/errors; no other exception."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentex_operator.agentex.answers import HttpAnswer, refusal
from agentex_operator.agentex.wire import LATEST, build_page, build_record, deployment_page, deployment_record, parsed
from agentex_operator.core import endpoints
from agentex_operator.core.errors import ExternalError, InvalidInput
from agentex_operator.kube import responses
from agentex_testkit import samples

TIMES = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-05:00",
         "0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z", "20261", "2026-W01",
         "2026-01-01T24:00:00Z", "2026-01-01T00:00:00+99:99")
HTTP_DATES = ("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:00 -0000", "Wed, 21 Oct 99999 07:28:00 GMT",
              "Wed, 99 Foo 2026 99:99:99 +9999", ",", "0", "-1", "1" * 400, "", "x" * 50)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(TIMES))
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    st.sampled_from(["id", "message", "detail", "error", "loc", "msg", "x"]), inner, max_size=3), max_leaves=8)
FIELDS = ("id", "build_id", "build_status", "status", "created_at", "agent_name", "agent_id", "image_tag", "source_ref",
          "build_start_time", "expires_at", "manifest_file", "environment_config", "deploy_events", "preview_label")
RECORDS = st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=8).map(lambda fields: {"id": "b-1", **fields})
DEEP = b"[" * 200_000


@settings(max_examples=samples.examples(300), deadline=None)
@given(RECORDS)
def test_any_record_is_read_or_left_out_and_its_times_can_be_added_to(fields: dict[str, Any]) -> None:
    for read in (build_record, deployment_record):
        record = read(fields)
        if record is not None:
            assert record.created_at - timedelta(days=1) < record.created_at + timedelta(days=366)


@pytest.mark.parametrize("moment", TIMES)
def test_a_time_far_away_counts_as_none_or_as_the_latest(moment: str) -> None:
    record = deployment_record({"id": "d-1", "created_at": moment, "expires_at": moment})

    assert record is not None
    assert record.expires_at is None or datetime(1970, 1, 1, tzinfo=UTC) <= record.expires_at <= LATEST


@settings(max_examples=samples.examples(200), deadline=None)
@given(st.one_of(st.binary(max_size=60), (JSON | st.lists(RECORDS, max_size=3).map(
    lambda items: {"items": items, "has_more": True})).map(lambda one: json.dumps(one).encode())))
@example(DEEP)
@example(b"1" * 10_000)
@example(b'{"items": [' + DEEP)
def test_any_body_is_a_page_or_none(body: bytes) -> None:
    for read in (parsed, build_page, deployment_page):
        read(body)


@settings(max_examples=samples.examples(300), deadline=None)
@given(st.integers(100, 599), st.one_of(st.binary(max_size=40), JSON.map(lambda one: json.dumps(one).encode())),
       st.one_of(st.text(max_size=30), st.sampled_from(HTTP_DATES)), st.sampled_from(HTTP_DATES))
@example(429, b"", "Wed, 21 Oct 2026 07:28:00 -0000", "Wed, 21 Oct 2026 07:27:00 GMT")
@example(429, b"", "Wed, 21 Oct 2026 07:28:00 GMT", "")
@example(400, DEEP, "", "")
def test_any_answer_is_success_or_an_error_with_a_bounded_pause(status: int, body: bytes, again: str,
                                                                date: str) -> None:
    answer = HttpAnswer(status, {"retry-after": again, "date": date}, body)

    found = refusal(answer, "GET /x", creates=True)

    assert found is None or isinstance(found, ExternalError)
    assert timedelta() <= (answer.retry_after or timedelta()) <= timedelta(minutes=15)


@settings(max_examples=samples.examples(200), deadline=None)
@given(st.one_of(st.text(max_size=30), st.text(max_size=30).map("https://{}".format)))
@example("https://[::1")
@example("https://a:99999999999")
@example("https://\ud800.example")
@example("https://xn--0.example")
def test_any_endpoint_is_usable_or_invalid_input(endpoint: str) -> None:
    try:
        endpoints.parse(endpoint)
    except InvalidInput as error:
        assert error.reason == "InvalidURL"  # noqa: PT017 - any text may be usable


@settings(max_examples=samples.examples(200), deadline=None)
@given(st.binary(max_size=60), st.text(max_size=30))
@example(DEEP, "9" * 30)
@example(b"{}", "9" * 5000)
def test_any_answer_of_the_api_server_is_an_error_of_ours(body: bytes, again: str) -> None:
    found = responses.error_of(429, {"Retry-After": again}, body)

    assert isinstance(found, ExternalError)
