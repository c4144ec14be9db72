"""Which endpoints an account may have: one spelling, and no host that only looks like an allowed one."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentex_operator.core import endpoints, reasons
from agentex_operator.core.endpoints import Endpoint, EndpointPattern, EndpointRules
from agentex_operator.core.errors import InvalidInput

SCALE = EndpointRules.of(("*.scale.com",), plain_allowed=False)
NUMERIC = re.compile(r"0x[0-9a-f]*|[0-9]+")  # as the last label, it makes a name an address in an unusual spelling
labels = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=12).filter(
    lambda one: not NUMERIC.fullmatch(one))
names = st.lists(labels, min_size=1, max_size=4).map(".".join)


def reason(endpoint: str, *entries: str, plain: bool = False) -> str | None:
    refusal = EndpointRules.of(entries, plain_allowed=plain).refusal(endpoint)
    return None if refusal is None else refusal.reason


@pytest.mark.parametrize("endpoint", [
    "https://api.egp.scale.com", "https://API.EGP.SCALE.COM/", "https://api.scale.com.", "https://api.scale.com:443/v5",
    "HTTPS://api.scale.com",
])
def test_an_endpoint_below_scale_com_is_allowed_in_any_spelling(endpoint: str) -> None:
    assert SCALE.refusal(endpoint) is None


@pytest.mark.parametrize("endpoint", [
    "https://evilscale.com", "https://scale.com.evil.org", "https://scale.com", "https://api.scale.com:8443",
    "https://api-scale.com", "https://evil.org/api.scale.com", "https://evil.org/.scale.com", "https://scale.com.",
    "https://api.scale.community", "https://127.0.0.1", "https://[::1]", "https://api.scale.com.evil.org:443",
])
def test_a_host_that_looks_like_an_allowed_one_is_not_allowed(endpoint: str) -> None:
    assert reason(endpoint, "*.scale.com") == reasons.ENDPOINT_NOT_ALLOWED


@pytest.mark.parametrize("endpoint", [
    "https://api.scale.com@evil.org", "https://evil.org\\.scale.com", "https://evil.org#.scale.com",
    "https://evil.org?.scale.com", "https://evil.org%2f.scale.com", "https://evil.org\t.scale.com", "https://",
    "https://user:secret@api.scale.com", "https://api.scale.com:0", "https://api.scale.com:99999", "ftp://api.scale.com",
    "https://[::1].scale.com", "https://api..scale.com", "https://127.1", "https://0x7f000001", "https://2130706433",
    "https://api.scale.com:4 43", "//api.scale.com", "https://.scale.com", "https://gro\u00dfe.scale.com",
    "https://ev\u2100l.org",
])
def test_an_endpoint_in_which_two_parsers_could_find_two_hosts_is_refused(endpoint: str) -> None:
    assert reason(endpoint, "*") == reasons.INVALID_URL


@pytest.mark.parametrize(("entry", "endpoint", "allowed"), [
    ("api.example.com", "https://api.example.com", True),
    ("API.example.com.", "https://api.example.com", True),
    ("api.example.com", "https://api.example.com:8443", False),
    ("api.example.com:8443", "https://api.example.com:8443", True),
    ("api.example.com:8443", "https://api.example.com", False),
    ("api.example.com:*", "https://api.example.com:9000", True),
    ("*.example.com:8443", "https://a.b.example.com:8443", True),
    ("*.example.com:8443", "https://a.example.com", False),
    ("10.0.0.7", "https://10.0.0.7", True),
    ("10.0.0.7", "https://10.0.0.70", False),
    ("[FD00:0::1]:8443", "https://[fd00::1]:8443", True),
    ("b\u00fccher.example.com", "https://xn--bcher-kva.example.com", True),
    ("xn--bcher-kva.example.com", "https://B\u00dcCHER.example.com", True),
    ("*", "https://anything.example.org", True),
    ("*", "https://anything.example.org:8443", False),
])
def test_an_entry_allows_its_hosts_and_ports(entry: str, endpoint: str, *, allowed: bool) -> None:
    assert reason(endpoint, entry) == (None if allowed else reasons.ENDPOINT_NOT_ALLOWED)


@pytest.mark.parametrize("entry", ["", "https://a.example.com", "a/b", "a:0", "a:99999", "a:b", "user@host", "a b",
                                   "*.", "a.*.com", "*example.com", "[::1", "127.1", "?", "a,b"])
def test_what_is_no_entry_is_refused(entry: str) -> None:
    assert pattern_of(entry) is None


def test_http_is_refused_unless_allowed_and_then_needs_an_entry_too() -> None:
    assert reason("http://api.scale.com", "*.scale.com") == reasons.INVALID_ENDPOINT
    assert reason("http://api.scale.com", "*.scale.com", plain=True) is None
    assert reason("http://evil.org", "*.scale.com", plain=True) == reasons.ENDPOINT_NOT_ALLOWED


def test_an_administrators_endpoint_needs_no_entry_but_https() -> None:
    assert SCALE.of_administrators.refusal("https://agentex.intern.example.com:8443") is None
    refusal = SCALE.of_administrators.refusal("http://agentex.intern.example.com")
    assert refusal is not None
    assert refusal.reason == reasons.INVALID_ENDPOINT


@pytest.mark.parametrize(("entry", "private"), [
    ("agentex.intern:8443", True), ("*", False), ("*:*", False), ("*.intern:8443", False), ("agentex.intern", False)])
def test_only_an_entry_of_one_host_and_port_allows_a_private_address(entry: str, *, private: bool) -> None:
    rules = EndpointRules.of((entry,), plain_allowed=False)

    assert rules.may_be_private(endpoints.parse("https://agentex.intern:8443")) is private


@given(names, names)
def test_a_suffix_allows_exactly_the_names_below_it(name: str, domain: str) -> None:
    rules = EndpointRules.of((f"*.{domain}",), plain_allowed=False)
    is_below = name.split(".")[-domain.count(".") - 1:] == domain.split(".") and name != domain

    assert (rules.refusal(f"https://{name}") is None) is is_below
    assert rules.refusal(f"https://{name}.{domain}") is None
    assert rules.refusal(f"https://x{domain}") is not None
    assert rules.refusal(f"https://{domain}.evil.org") is None or not f"{domain}.evil.org".endswith(f".{domain}")


@given(names, names)
def test_an_exact_host_allows_only_itself(name: str, other: str) -> None:
    rules = EndpointRules.of((name,), plain_allowed=False)

    assert (rules.refusal(f"https://{other}") is None) is (name == other)


@given(st.one_of(st.text(max_size=40), st.text(max_size=40).map("https://".__add__),
                 st.text(max_size=20).map(lambda one: f"https://{one}.scale.com")))
def test_any_text_is_an_endpoint_in_one_spelling_or_refused(text: str) -> None:
    endpoint = endpoint_of(text)

    assert endpoint is None or (endpoints.parse(endpoint.url) == endpoint and endpoint.host.isascii())


@given(st.text(max_size=30))
def test_any_text_is_an_entry_or_a_value_error(text: str) -> None:
    pattern = pattern_of(text)

    assert pattern is None or pattern.host.isascii()


def endpoint_of(text: str) -> Endpoint | None:
    """The endpoint, or None if it is refused; any other exception fails the test."""
    try:
        return endpoints.parse(text)
    except InvalidInput:
        return None


def pattern_of(text: str) -> EndpointPattern | None:
    """The entry, or None if it is refused; any other exception fails the test."""
    try:
        return endpoints.parse_pattern(text)
    except ValueError:
        return None
