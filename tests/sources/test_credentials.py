"""Credentials of a download: one header from a Secret, and no value in any message."""

from __future__ import annotations

import pytest
from tests.sources.support import (
    Namespace,
    encoded,
)

from agentex_operator.core.errors import NotReady
from agentex_operator.sources.credentials import credentials


@pytest.mark.parametrize(("values", "header"), [
    ({"token": "abc"}, "Bearer abc"), ({"token": "abc\n"}, "Bearer abc"),
    ({"token": "\ufeffabc"}, "Bearer abc"),
    ({"username": "u", "password": "p:q"}, "Basic dTpwOnE="),
    ({"username": "u", "password": "p", "other": "\x00"}, "Basic dTpw"),
])
async def test_credentials_become_one_header(values: dict[str, str], header: str) -> None:
    namespace = Namespace(secrets={"s": {"data": {key: encoded(value) for key, value in values.items()}}})

    kept: list[str] = []
    found = await credentials(namespace, "team", "s", kept.append)

    assert (found.authorization, found.ca) == (header, "")
    assert {header.split(" ")[1], values.get("password", "abc")} <= set(kept)


@pytest.mark.parametrize("values", [
    {}, {"username": "canary"}, {"password": "canary"}, {"token": "canary", "password": "canary"}, {"token": ""},
    {"token": "canary\r\nX-Evil: 1"}, {"token": "canaryé"}, {"username": "a:canary", "password": "p"},
    {"TOKEN": "canary"}, {"token": "abc", "ca.crt": "canary"}, {"ca.crt": "\x00"},
])
async def test_a_secret_of_another_shape_is_not_ready_and_not_shown(values: dict[str, str]) -> None:
    namespace = Namespace(secrets={"s": {"data": {key: encoded(value) for key, value in values.items()}}})

    with pytest.raises(NotReady) as caught:
        await credentials(namespace, "team", "s", list[str]().append)

    error = caught.value
    assert (error.reason, "canary" in error.message, error.__cause__) == ("SecretInvalid", False, None)


async def test_a_secret_without_any_value_or_with_no_base64_is_invalid() -> None:
    for content in ({}, {"data": None}, {"data": {"token": "%%%"}}):
        with pytest.raises(NotReady, match="Secret 's'"):
            await credentials(Namespace(secrets={"s": content}), "team", "s", list[str]().append)
