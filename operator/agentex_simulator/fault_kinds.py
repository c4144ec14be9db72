"""The kinds of faults: what each does to the course of a call. Seconds are real, never scaled.

Around the commit (`how` is rst or fin, rst unless told):
- commit-then-drop-response {how} · commit-then-500 {status=500, body, headers, content_type}, any status will do
- drop-before-commit {how, after_body=false, half=false}: before the request is read, after it, or in the middle of it
- teardown-failure {status=500, body}, DELETE of deployments only
- delayed-commit {delay=1, drop="at-once"|"client", how}: the commit comes `delay` after the request was read; the
  connection is cut at once, or stays silent until then · cancel-ignored: 202, and nothing is cancelled

Instead of the answer, nothing committed:
- status {status=500, body, headers, content_type} · unauthorized · not-found · html-502 {status, body}
- throttle {retry_after}, verbatim, or {until}: a date so many seconds from now by the remote's clock
- outage {mode="503"|"rst"} · redirect {location, status=307} · cursor-400, only lists with a cursor

The bytes of the answer; the connection is closed after them:
- slow {header_delay, chunk, chunk_delay}: seconds before the first byte, then `chunk` bytes per `chunk_delay` seconds
- truncated {keep=0.5} · empty-body · wrong-content-length {delta=100} · sse {cut_after, delay}, build logs only

What the answer says:
- has-more {value=true, repeat=false} · stale-list {seconds=5} · hide {ids}, all without ids · filter-ignored
- overlap {items=1}: a page repeats the end of the one before · skip {items=1}: it leaves its own beginning out
- page-size {items=1}: no page has more, whatever is asked for · endless: every page has records never seen before
- id {value | missing | length} · null-agent-id · field {name, value | missing}
- status-words {map: {old: new}, case="upper"|"lower"} or {value}
- clock-skew {seconds}: the remote's clock, for stamps, Date and expiry, while the fault is scripted

`KINDS` maps a kind's name to its bend and to the calls it concerns; parameters come from the fault's JSON.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from agentex_simulator.calls import Call
from agentex_simulator.course import Course, Drop, Rewrite
from agentex_simulator.replies import Reply, json_reply

Params = Mapping[str, Any]
Bend = Callable[[Course, Params], None]
HTML = "<html><head><title>502 Bad Gateway</title></head><body><center>502 Bad Gateway</center></body></html>"


@dataclass(frozen=True)
class Kind:
    """A bend and the calls it can bend."""

    bend: Bend
    concerns: Callable[[Call], bool] = lambda _: True


def _commit_then_drop(course: Course, params: Params) -> None:
    course.answer_drop = _how(params)


def _commit_then_answer(course: Course, params: Params) -> None:
    course.answer = _scripted(params, 500)


def _drop_before_commit(course: Course, params: Params) -> None:
    if params.get("half"):
        course.half_drop = _how(params)
    elif params.get("after_body"):
        course.read_drop = _how(params)
    else:
        course.unread_drop = _how(params)


def _delayed_commit(course: Course, params: Params) -> None:
    course.commit_delay = float(params.get("delay", 1))
    course.answer_drop = _how(params)
    if params.get("drop", "at-once") == "at-once":
        course.leave_at_once = _how(params)


def _answer_instead(default_status: int) -> Bend:
    def bend(course: Course, params: Params) -> None:
        course.refusal = _scripted(params, default_status)

    return bend


def _html(course: Course, params: Params) -> None:
    body = str(params.get("body", HTML))
    course.refusal = Reply(int(params.get("status", 502)), body.encode(), {}, "text/html")


def _throttle(course: Course, params: Params) -> None:
    headers = {"Retry-After": str(params["retry_after"])} if "retry_after" in params else {}
    course.refusal = replace(json_reply({"detail": "Too many requests"}, 429), headers=headers)
    course.retry_until = float(params["until"]) if "until" in params else None


def _outage(course: Course, params: Params) -> None:
    if params.get("mode", "503") == "503":
        course.refusal = json_reply({"detail": "Service Unavailable"}, 503)
    else:
        course.unread_drop = "rst"


def _redirect(course: Course, params: Params) -> None:
    course.refusal = Reply(int(params.get("status", 307)), b"", {"Location": str(params["location"])})


def _slow(course: Course, params: Params) -> None:
    course.manner.header_delay = float(params.get("header_delay", 0))
    course.manner.chunk = int(params.get("chunk", 0))
    course.manner.chunk_delay = float(params.get("chunk_delay", 0))


def _truncated(course: Course, params: Params) -> None:
    course.manner.keep = float(params.get("keep", 0.5))


def _wrong_length(course: Course, params: Params) -> None:
    course.manner.length_delta = int(params.get("delta", 100))


def _empty_body(course: Course, params: Params) -> None:
    course.manner.keep = float(params.get("keep", 0))


def _sse(course: Course, params: Params) -> None:
    course.manner.cut_after = params.get("cut_after")
    course.manner.frame_delay = float(params.get("delay", 0))


def _has_more(course: Course, params: Params) -> None:
    value = params.get("value", True)
    course.view.overlap = 1 if params.get("repeat") else course.view.overlap
    course.rewrites.append(lambda body: {**body, "has_more": value})


def _stale_list(course: Course, params: Params) -> None:
    course.view.min_age = float(params.get("seconds", 5))


def _hide(course: Course, params: Params) -> None:
    course.view.hidden = frozenset(params["ids"]) if "ids" in params else None


def _ignore_filters(course: Course, params: Params) -> None:
    course.view.ignore_filters = bool(params.get("value", True))


def _overlap(course: Course, params: Params) -> None:
    course.view.overlap = int(params.get("items", 1))


def _skip(course: Course, params: Params) -> None:
    course.view.overlap = -int(params.get("items", 1))


def _page_size(course: Course, params: Params) -> None:
    course.view.page_size = int(params.get("items", 1))


def _endless(course: Course, _params: Params) -> None:
    course.view.endless = True
    course.rewrites.append(_never_seen_before)


def _never_seen_before(body: dict[str, Any]) -> dict[str, Any]:
    items = [{**item, "id": str(uuid.uuid4())} for item in body["items"]]
    return {**body, "items": items, "has_more": True}


def _id(course: Course, params: Params) -> None:
    value = "x" * int(params["length"]) if "length" in params else params.get("value")
    course.rewrites.append(_without("id") if params.get("missing") else _with("id", value))


def _field(course: Course, params: Params) -> None:
    name = str(params["name"])
    course.rewrites.append(_without(name) if params.get("missing") else _with(name, params.get("value")))


def _null_agent_id(course: Course, params: Params) -> None:
    course.rewrites.append(_with("agent_id", params.get("value")))


def _without_effect(course: Course, _params: Params) -> None:
    course.without_effect = True


def _status_words(course: Course, params: Params) -> None:
    course.rewrites.append(_each(lambda record: _respoken(record, params)))


def _nothing(_course: Course, _params: Params) -> None:
    """A clock-skew fault bends the clock, not a call."""


def _respoken(record: dict[str, Any], params: Params) -> dict[str, Any]:
    name = "build_status" if "build_status" in record else "status"
    if name not in record:
        return record
    return {**record, name: _word(str(record[name]), params)}


def _word(word: str, params: Params) -> Any:
    if "value" in params:
        return params["value"]
    said = {old.lower(): new for old, new in params.get("map", {}).items()}.get(word.lower(), word)
    cases = {"upper": str.upper, "lower": str.lower}
    return cases[params["case"]](said) if "case" in params and isinstance(said, str) else said


def _each(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Rewrite:
    """Rewrite a record, or every record of a page."""

    def rewrite(body: Any) -> Any:
        if isinstance(body, dict) and isinstance(body.get("items"), list):
            return {**body, "items": [change(item) for item in body["items"]]}
        return change(body) if isinstance(body, dict) else body

    return rewrite


def _with(name: str, value: Any) -> Rewrite:
    return _each(lambda record: {**record, name: value})


def _without(name: str) -> Rewrite:
    return _each(lambda record: {key: value for key, value in record.items() if key != name})


def _how(params: Params) -> Drop:
    return "fin" if params.get("how") == "fin" else "rst"


def _scripted(params: Params, default_status: int) -> Reply:
    """{status, body, headers, content_type}; a string body is sent verbatim, anything else as JSON."""
    status = int(params.get("status", default_status))
    body = params.get("body", {"detail": f"simulated {status}"})
    if not isinstance(body, str):
        return replace(json_reply(body, status), headers=dict(params.get("headers", {})))
    return Reply(status, body.encode(), dict(params.get("headers", {})), str(params.get("content_type", "text/plain")))


def _is_list(call: Call) -> bool:
    return call.request.method == "GET" and call.template in {
        "/v5/builds",
        "/v5/agentex/deployments",
        "/v5/sgp/secrets",
    }


def _has_cursor(call: Call) -> bool:
    return bool(call.request.query.get("starting_after") or call.request.query.get("ending_before"))


def _is_deployment_delete(call: Call) -> bool:
    return call.request.method == "DELETE" and call.template == "/v5/agentex/deployments/{deployment_id}"


def _is_cancel(call: Call) -> bool:
    return call.template == "/v5/builds/{build_id}/cancel"


def _is_stream(call: Call) -> bool:
    return call.template == "/v5/builds/{build_id}/logs"


KINDS: dict[str, Kind] = {
    "commit-then-drop-response": Kind(_commit_then_drop),
    "commit-then-500": Kind(_commit_then_answer),
    "drop-before-commit": Kind(_drop_before_commit),
    "delayed-commit": Kind(_delayed_commit),
    "status": Kind(_answer_instead(500)),
    "unauthorized": Kind(_answer_instead(401)),
    "not-found": Kind(_answer_instead(404)),
    "html-502": Kind(_html),
    "throttle": Kind(_throttle),
    "outage": Kind(_outage),
    "redirect": Kind(_redirect),
    "teardown-failure": Kind(_answer_instead(500), _is_deployment_delete),
    "cancel-ignored": Kind(_without_effect, _is_cancel),
    "slow": Kind(_slow),
    "truncated": Kind(_truncated),
    "wrong-content-length": Kind(_wrong_length),
    "empty-body": Kind(_empty_body),
    "sse": Kind(_sse, _is_stream),
    "has-more": Kind(_has_more, _is_list),
    "stale-list": Kind(_stale_list, _is_list),
    "hide": Kind(_hide, _is_list),
    "filter-ignored": Kind(_ignore_filters, _is_list),
    "overlap": Kind(_overlap, _is_list),
    "skip": Kind(_skip, lambda call: _is_list(call) and _has_cursor(call)),
    "page-size": Kind(_page_size, _is_list),
    "endless": Kind(_endless, _is_list),
    "cursor-400": Kind(_answer_instead(400), lambda call: _is_list(call) and _has_cursor(call)),
    "id": Kind(_id),
    "field": Kind(_field),
    "null-agent-id": Kind(_null_agent_id),
    "status-words": Kind(_status_words),
    "clock-skew": Kind(_nothing, lambda _: False),
}
