"""What a server says of its content is used to ask again only where a change cannot be missed by it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentex_operator.sources.validators import Validators

SUNDAY = "Sun, 29 Nov 2026 10:00:{:02} GMT".format
MODIFIED = SUNDAY(0)


@pytest.mark.parametrize(("headers", "conditions"), [
    ({"ETag": '"a"'}, {"If-None-Match": '"a"'}),
    ({"ETag": 'W/"a"'}, {"If-None-Match": 'W/"a"'}),
    ({"ETag": '"a"', "Last-Modified": MODIFIED, "Date": SUNDAY(9)}, {"If-None-Match": '"a"'}),
    ({"Last-Modified": MODIFIED, "Date": SUNDAY(2)}, {"If-Modified-Since": MODIFIED}),
    ({"ETag": "*", "Last-Modified": MODIFIED, "Date": SUNDAY(2)}, {"If-Modified-Since": MODIFIED}),
    ({"Last-Modified": MODIFIED, "Date": SUNDAY(1)}, {}),
    ({"Last-Modified": MODIFIED}, {}),
    ({"Last-Modified": "yesterday", "Date": SUNDAY(2)}, {}),
    ({"Last-Modified": "Sun, 29 Nov 2026 10:00:00 -0000", "Date": SUNDAY(9)}, {}),
    ({"ETag": "a"}, {}), ({"ETag": "*"}, {}), ({"ETag": '""'}, {}), ({"ETag": '"a b"'}, {}),
    ({"ETag": f'"{"a" * 1001}"'}, {}), ({"ETag": '"é"'}, {}), ({}, {}),
])
def test_a_validator_becomes_a_condition_only_if_a_change_cannot_be_missed(
    headers: dict[str, str], conditions: dict[str, str]
) -> None:
    assert Validators.of(headers).conditions == conditions


@given(etag=st.text(max_size=20), modified=st.text(max_size=20), date=st.text(max_size=20))
def test_any_header_gives_conditions_that_can_be_sent(etag: str, modified: str, date: str) -> None:
    found = Validators.of({"ETag": etag, "Last-Modified": modified, "Date": date}).conditions

    assert all(value.isascii() and value.isprintable() for value in found.values())
