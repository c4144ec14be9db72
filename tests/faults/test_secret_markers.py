"""A secret is found by any eight characters of it, however they are written."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from tests.faults.runner.secret_markers import found_in, parts_of, plant

PLANTED = plant()
PARTS = parts_of(PLANTED.all)


@pytest.mark.parametrize("marker", PLANTED.all, ids=lambda marker: marker.what)
@pytest.mark.parametrize("write", [
    str, quote, lambda text: quote(text, safe=""), lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: base64.urlsafe_b64encode(f"x{text}".encode()).decode(),
    lambda text: base64.b64encode(f"Basic reader:{text}".encode()).decode(), lambda text: repr({"said": text}),
], ids=["plain", "in a URL", "quoted", "in base64", "in URL-safe base64", "in a header", "in a dict"])
def test_a_secret_is_found_however_it_is_written(marker, write):
    assert [found.what for _, found in found_in(f"before {write(marker.text)} after", PARTS)] == [marker.what]


@pytest.mark.parametrize("before", range(8))
@pytest.mark.parametrize("at", range(21))
def test_eight_characters_of_it_are_enough_wherever_they_are(at, before):
    assert found_in("." * before + PLANTED.api_key.random[at:at + 8], PARTS)
    assert found_in("." * before + PLANTED.api_key.random[at:at + 8] + "..", PARTS)


@pytest.mark.parametrize("before", range(8))
def test_fewer_are_an_accident(before):
    assert found_in("." * before + PLANTED.api_key.random[:7] + "." + PLANTED.api_key.random[8:15], PARTS) == []


def test_what_is_no_secret_is_none():
    text = "d2f1c0de-8a5b-4f6e-9c1d-0123456789ab GET /v5/agentex/deployments agentex.scale.com/rebuild-requested-at "

    assert found_in(text * 99, PARTS) == []
