"""The spellings of one endpoint are the same endpoint, and nothing else is; a bound resource keeps its account."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.test_account_binding import BOUND, NAMED, accounts, an_account

from agentex_operator.core import endpoints, reasons
from agentex_operator.core.account_binding import bind
from agentex_operator.core.plan import AccountProblem, UsableAccount

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
HOSTS = st.tuples(st.lists(LABEL, max_size=3), st.sampled_from(["com", "example", "svc"])).map(
    lambda parts: ".".join([*parts[0], parts[1]])) | st.sampled_from(["[::1]", "10.1.2.3", "bücher.example"])
PATHS = st.lists(LABEL | st.sampled_from(["ü", "a~b", "%2F"]), max_size=2).map(
    lambda parts: "".join(f"/{part}" for part in parts))
ENDPOINTS = st.tuples(st.sampled_from(["http", "https"]), HOSTS, st.sampled_from([80, 443, 8443]), PATHS)
Parts = tuple[str, str, int, str]


@st.composite
def spellings(draw: st.DrawFn, parts: Parts) -> str:
    """One of the ways in which people and tools write this endpoint."""
    scheme, host, port, path = parts
    cased = draw(st.sampled_from([host, host.upper(), host.title()]))
    dot = draw(st.sampled_from(["", "."])) if host[-1].isalpha() else ""
    usual = port == endpoints.DEFAULT_PORTS[scheme]
    shown = draw(st.sampled_from(["", f":{port}"])) if usual else f":{port}"
    return f"{draw(st.sampled_from([scheme, scheme.upper()]))}://{cased}{dot}{shown}{draw(of_path(path))}"


@st.composite
def of_path(draw: st.DrawFn, path: str) -> str:
    """One of the ways in which this path can be written: RFC 3986, 6.2.2."""
    segments = [draw(of_segment(one)) for one in path.split("/")[1:]]
    for _ in range(draw(st.integers(0, 2))):
        position = draw(st.integers(0, len(segments)))
        segments[position:position] = draw(st.sampled_from([["."], ["x", ".."], ["%2e"], ["y", "%2E."]]))
    return "".join(f"/{one}" for one in segments) + draw(st.sampled_from(["", "/"]))


@st.composite
def of_segment(draw: st.DrawFn, segment: str) -> str:
    if segment == "%2F":  # an encoded slash is none
        return draw(st.sampled_from([segment, "%2f"]))
    encoded = draw(st.sets(st.integers(0, len(segment) - 1)))
    cased = draw(st.sampled_from(["%{:02x}", "%{:02X}"]))
    return "".join("".join(cased.format(byte) for byte in one.encode()) if place in encoded else one
                   for place, one in enumerate(segment))


@given(st.data(), ENDPOINTS)
def test_every_spelling_of_an_endpoint_is_the_same_endpoint(data: st.DataObject, parts: Parts) -> None:
    one, another = data.draw(spellings(parts)), data.draw(spellings(parts))

    assert endpoints.are_the_same(one, another)
    assert binding(one, parts[0] + another[len(parts[0]):]) is None  # the CRD wants the scheme in lower case


@given(st.data(), ENDPOINTS, ENDPOINTS)
def test_spellings_of_two_endpoints_are_never_the_same(data: st.DataObject, one: Parts, another: Parts) -> None:
    said = endpoints.are_the_same(data.draw(spellings(one)), data.draw(spellings(another)))

    assert said == (one == another)


@pytest.mark.parametrize("text", ["", "ftp://a.example", "https://user@a.example", "https://[::1", "https://a:0"])
def test_text_that_is_no_endpoint_is_the_same_as_itself_only(text: str) -> None:
    assert endpoints.are_the_same(text, text)
    assert not endpoints.are_the_same(text, "https://a.example")


def test_the_case_of_a_path_counts() -> None:
    assert binding("https://api.example/a", "https://api.example/A") == reasons.ACCOUNT_CHANGED


def binding(stored: str, wanted: str) -> Any:
    """Why a resource that is bound to the `stored` endpoint may not use an account at the `wanted` one; else None."""
    assert BOUND.bound is not None
    request = replace(BOUND, bound=replace(BOUND.bound, endpoint=stored))
    known = an_account(NAMED)
    found = bind(request, accounts(replace(known, spec=replace(known.spec, endpoint=wanted))))
    assert isinstance(found, AccountProblem | UsableAccount)
    return found.reason if isinstance(found, AccountProblem) else None
