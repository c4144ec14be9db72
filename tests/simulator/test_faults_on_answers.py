"""Faults that refuse, delay, garble or bend answers (reliability.md section 2d, agentex-api.md section 10)."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
from scale_gp_beta import (
    APIConnectionError,
    APIResponseValidationError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    RateLimitError,
    SGPClient,
)
from tests.simulator.conftest import Connecting
from tests.simulator.make import build, deploy, healthy, ids, image

from agentex_simulator import SimulatorError, SimulatorThread

LISTS = {"method": "GET", "path": "/v5/builds"}
KEY = {"x-api-key": "key-1"}


def raw(simulator: SimulatorThread, path: str = "/v5/builds", **wish: Any) -> httpx.Response:
    return httpx.get(simulator.url + path, headers=KEY, **wish)


@pytest.mark.parametrize("value", ["2", "0", "86400", "-1", "garbage", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_throttle_says_retry_after_verbatim(client: SGPClient, simulator: SimulatorThread, value: str) -> None:
    simulator.fault("throttle", retry_after=value)

    with pytest.raises(RateLimitError) as throttled:
        client.build.list()

    assert throttled.value.response.headers["Retry-After"] == value


def test_a_gateway_can_answer_with_html(client: SGPClient, simulator: SimulatorThread) -> None:
    simulator.fault("html-502")

    with pytest.raises(InternalServerError) as failed:
        client.build.list()

    assert failed.value.status_code == 502
    assert isinstance(failed.value.body, str)
    assert failed.value.body.startswith("<html>")


def test_any_status_with_any_body_and_headers(simulator: SimulatorThread) -> None:
    simulator.fault("status", status=418, body={"a": 1}, headers={"X-Tea": "yes"})
    simulator.fault("status", status=200, body="<p>", content_type="text/html", nth=2)

    teapot, page = raw(simulator), raw(simulator)

    assert (teapot.status_code, teapot.json(), teapot.headers["X-Tea"]) == (418, {"a": 1}, "yes")
    assert (page.status_code, page.text, page.headers["Content-Type"]) == (200, "<p>", "text/html")


def test_slow_headers_make_a_client_time_out(simulator: SimulatorThread, connect: Connecting) -> None:
    simulator.fault("slow", header_delay=0.5)

    with pytest.raises(APITimeoutError):
        connect(simulator, timeout=0.1).build.list()


def test_a_slow_body_trickles_but_arrives(client: SGPClient, simulator: SimulatorThread) -> None:
    built = image(client)
    simulator.fault("slow", chunk=100, chunk_delay=0.02)
    began = time.monotonic()

    assert ids(client.build.list().items) == [built.id]

    assert time.monotonic() - began > 0.1


def test_truncated_json_cannot_be_parsed(simulator: SimulatorThread) -> None:
    simulator.fault("truncated", keep=0.6)

    answer = raw(simulator)

    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        answer.json()


def test_a_length_that_lies_breaks_the_reading(client: SGPClient, simulator: SimulatorThread) -> None:
    simulator.fault("wrong-content-length", delta=100)

    with pytest.raises((APIConnectionError, httpx.RemoteProtocolError)):
        client.build.list()


def test_an_empty_body_is_a_success_without_content(simulator: SimulatorThread) -> None:
    simulator.fault("empty-body")

    answer = raw(simulator)

    assert (answer.status_code, answer.content) == (200, b"")


def test_has_more_can_be_untrue_for_ever(client: SGPClient, simulator: SimulatorThread) -> None:
    image(client)
    simulator.fault("has-more", value=True, repeat=True, forever=True)

    visited = [build.id for _, build in zip(range(20), client.build.list(), strict=False)]

    assert len(visited) == 20


def test_has_more_can_deny_the_rest(client: SGPClient, simulator: SimulatorThread) -> None:
    first = image(client)
    image(client, agent_id=first.agent_id)
    simulator.fault("has-more", value=False)

    assert ids(client.build.list(limit=1)) == [first.id]


def test_a_stale_list_leaves_out_what_is_young(client: SGPClient, simulator: SimulatorThread) -> None:
    built = image(client)
    simulator.fault("stale-list", seconds=0.3, forever=True)
    assert client.build.list().items == []
    assert client.build.retrieve(built.id).id == built.id

    time.sleep(0.3)

    assert ids(client.build.list().items) == [built.id]


def test_a_cursor_can_be_refused(client: SGPClient, simulator: SimulatorThread) -> None:
    first = image(client)
    image(client, agent_id=first.agent_id)
    simulator.fault("cursor-400")

    with pytest.raises(BadRequestError):
        list(client.build.list(limit=1))

    assert len(list(client.build.list(limit=1))) == 2


def test_records_can_be_hidden_from_lists(client: SGPClient, simulator: SimulatorThread) -> None:
    hidden = image(client)
    shown = image(client, agent_id=hidden.agent_id)
    simulator.fault("hide", ids=[hidden.id])
    simulator.fault("hide", nth=2)

    assert ids(client.build.list().items) == [shown.id]
    assert ids(client.build.list().items) == []


def test_filters_can_be_ignored(client: SGPClient, simulator: SimulatorThread) -> None:
    built = image(client)
    simulator.fault("filter-ignored")

    assert ids(client.build.list(agent_name="other").items) == [built.id]


def test_pages_can_overlap(client: SGPClient, simulator: SimulatorThread) -> None:
    first = image(client)
    second = image(client, agent_id=first.agent_id)
    simulator.fault("overlap", items=1)

    assert ids(client.build.list(starting_after=first.id).items) == [first.id, second.id]


@pytest.mark.parametrize("value", [None, "../x", "x" * 10_240, 7])
def test_an_id_can_be_anything(simulator: SimulatorThread, client: SGPClient, value: Any) -> None:
    built = image(client)
    simulator.fault("id", value=value, count=2)

    assert raw(simulator, f"/v5/builds/{built.id}").json()["id"] == value
    assert raw(simulator).json()["items"][0]["id"] == value


def test_an_id_can_be_missing_or_long(client: SGPClient, simulator: SimulatorThread) -> None:
    built = image(client)
    simulator.fault("id", missing=True)
    simulator.fault("id", length=10_240, nth=2)

    with pytest.raises(APIResponseValidationError):
        client.build.retrieve(built.id)
    assert len(client.build.retrieve(built.id).id) == 10_240


@pytest.mark.parametrize(
    ("script", "shown"),
    [
        pytest.param({"map": {"healthy": "completed"}}, "completed", id="another word"),
        pytest.param({"map": {"healthy": "completed"}, "case": "upper"}, "COMPLETED", id="another word, upper"),
        pytest.param({"case": "lower"}, "healthy", id="lower"),
        pytest.param({"value": "levitating"}, "levitating", id="novel"),
        pytest.param({"map": {"healthy": "running"}}, "running", id="backwards"),
    ],
)
def test_status_words_can_change(client: SGPClient, simulator: SimulatorThread, script: dict, shown: str) -> None:
    live = healthy(client, simulator, image(client).id)
    simulator.fault("status-words", match={"path": "/v5/agentex/deployments/{deployment_id}"}, **script)

    assert client.deploy.retrieve(live.id).status == shown


def test_a_status_can_be_null(client: SGPClient, simulator: SimulatorThread) -> None:
    live = deploy(client, image(client).id)
    simulator.fault("status-words", value=None)

    assert raw(simulator, f"/v5/agentex/deployments/{live.id}").json()["status"] is None


def test_an_agent_id_can_be_null(client: SGPClient, simulator: SimulatorThread) -> None:
    simulator.fault("null-agent-id", forever=True)

    assert build(client).agent_id is None
    assert client.build.list().items[0].agent_id is None


def test_any_field_can_be_set_or_missing(client: SGPClient, simulator: SimulatorThread) -> None:
    built = image(client)
    simulator.fault("field", name="image_tag", value="other")
    simulator.fault("field", name="image_tag", missing=True, nth=2)

    assert client.build.retrieve(built.id).image_tag == "other"
    with pytest.raises(APIResponseValidationError):
        client.build.retrieve(built.id)


def test_one_account_can_be_locked_out(simulator: SimulatorThread, connect: Connecting) -> None:
    simulator.fault("unauthorized", match={"account": "acct-1"}, forever=True)

    for _ in range(3):
        with pytest.raises(AuthenticationError):
            connect(simulator).build.list()
    assert connect(simulator, "acct-2", "key-2").build.list().items == []


def test_a_known_id_can_be_not_found_for_a_while(client: SGPClient, simulator: SimulatorThread) -> None:
    built, other = image(client), image(client, agent_name="other")
    simulator.fault("not-found", match={"id": built.id}, count=2)

    for _ in range(2):
        with pytest.raises(NotFoundError):
            client.build.retrieve(built.id)
        assert client.build.retrieve(other.id).id == other.id
    assert client.build.retrieve(built.id).id == built.id


def test_a_wrong_clock_shows_in_stamps_and_date(client: SGPClient, simulator: SimulatorThread) -> None:
    simulator.fault("clock-skew", seconds=3600)

    made = image(client).created_at
    date = raw(simulator).headers.get_list("Date")
    simulator.clear_faults()
    later = image(client, agent_name="other").created_at

    now = datetime.now(UTC)  # noqa: TID251 - compared with the remote's
    assert abs(made - now - timedelta(hours=1)) < timedelta(minutes=1)
    assert abs(later - now) < timedelta(minutes=1)
    assert len(date) == 1
    assert datetime.strptime(date[0], "%a, %d %b %Y %H:%M:%S %Z").replace(tzinfo=UTC) > now + timedelta(minutes=59)


@pytest.mark.parametrize("status", [301, 307])
def test_a_call_can_be_redirected_elsewhere(simulator: SimulatorThread, status: int) -> None:
    simulator.fault("redirect", status=status, location="http://127.0.0.1:9/elsewhere")

    answer = raw(simulator, follow_redirects=False)

    assert (answer.status_code, answer.headers["Location"]) == (status, "http://127.0.0.1:9/elsewhere")


def test_a_stream_can_be_cut(client: SGPClient, simulator: SimulatorThread) -> None:
    built = build(client)
    simulator.fault("sse", cut_after=2)
    stream = client.build.logs(built.id)

    read = [next(stream).line, next(stream).line]

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        next(stream)
    assert read[-1].startswith("Sending build context")


def test_a_stream_can_be_slow(simulator: SimulatorThread, connect: Connecting) -> None:
    client = connect(simulator, timeout=0.1)
    built = image(client)
    simulator.fault("sse", delay=0.5)

    with pytest.raises(httpx.ReadTimeout):
        list(client.build.logs(built.id))


@pytest.mark.parametrize(("mode", "error"), [("503", InternalServerError), ("rst", APIConnectionError)])
def test_an_outage_lasts_until_it_is_lifted(
    client: SGPClient, simulator: SimulatorThread, mode: str, error: type[Exception]
) -> None:
    fault_id = simulator.fault("outage", mode=mode, forever=True)

    for _ in range(3):
        with pytest.raises(error):
            client.build.list()
    simulator.clear_faults(fault_id)

    assert client.build.list().items == []


def test_a_fault_fires_on_the_nth_match_and_count_times(client: SGPClient, simulator: SimulatorThread) -> None:
    simulator.fault("throttle", match=LISTS, nth=2, count=2)
    client.deploy.list()

    outcomes: list[object] = []
    for _ in range(4):
        try:
            outcomes.append(client.build.list().items)
        except RateLimitError:
            outcomes.append("throttled")

    assert outcomes == [[], "throttled", "throttled", []]
    assert [(fault["seen"], fault["fired"]) for fault in simulator.faults()] == [(4, 2)]


def test_faults_match_by_pattern_and_query(client: SGPClient, simulator: SimulatorThread) -> None:
    simulator.fault("throttle", match={"regex": "deploy"}, forever=True)
    simulator.fault("throttle", match={"query": {"agent_name": "^b"}}, forever=True)

    for ask in (client.deploy.list, lambda: client.build.list(agent_name="bot")):
        with pytest.raises(RateLimitError):
            ask()
    assert client.build.list(agent_name="other").items == []


@pytest.mark.parametrize(
    ("kind", "script"),
    [
        ("nonsense", {}),
        ("throttle", {"match": {"colour": "red"}}),
        ("throttle", {"match": {"regex": "("}}),
        ("redirect", {}),
        ("slow", {"chunk": "many"}),
        ("throttle", {"nth": "first"}),
    ],
)
def test_a_bad_script_is_refused_at_once(simulator: SimulatorThread, kind: str, script: dict) -> None:
    with pytest.raises(SimulatorError, match="400"):
        simulator.fault(kind, **script)

    assert simulator.faults() == []


def test_a_throttle_can_name_a_date_by_the_remotes_own_clock(simulator: SimulatorThread) -> None:
    simulator.fault("clock-skew", seconds=3600)
    simulator.fault("throttle", until=10)

    answer = raw(simulator)

    until, now = (parsedate_to_datetime(answer.headers[name]) for name in ("Retry-After", "Date"))
    assert timedelta(seconds=9) <= until - now <= timedelta(seconds=11)


def test_pages_can_be_smaller_than_asked_and_skip_a_record(client: SGPClient, simulator: SimulatorThread) -> None:
    first = image(client)
    others = [image(client, agent_id=first.agent_id) for _ in range(3)]
    simulator.fault("page-size", items=1, forever=True)
    simulator.fault("skip", nth=2)

    seen = ids(client.build.list(limit=100))

    assert seen == [first.id, others[0].id, others[2].id]


def test_a_list_can_go_on_for_ever_with_records_never_seen_before(client: SGPClient, simulator: SimulatorThread
                                                                  ) -> None:
    image(client)
    simulator.fault("endless", forever=True)

    visited = [build.id for _, build in zip(range(20), client.build.list(), strict=False)]

    assert len(set(visited)) == 20
