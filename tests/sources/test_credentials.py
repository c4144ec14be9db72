"""Credentials of a download: one header from a Secret, and no value in any message."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.network.authority import Authority
from tests.sources.support import (
    Namespace,
    encoded,
)

from agentex_operator.core.errors import NotReady
from agentex_operator.sources.credentials import Credentials, credentials

USABLE = ({"bearerToken"}, {"username", "password"}, set[str]())  # the last one beside ca.crt only
KEYS = ["bearerToken", "username", "password", "ca.crt", "token", "caFile", "identity", "known_hosts", "tls.crt"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    return Authority.create(Path(tmp_path_factory.mktemp("ca"))).certificate.read_text()


@given(keys=st.sets(st.sampled_from(KEYS)))
@example(keys={"token"})
@example(keys={"bearerToken", "username", "password"})
def test_a_secret_gives_one_credential_or_is_refused_with_the_names_of_its_keys(
    certificate: str, keys: set[str]
) -> None:
    values = {key: certificate if key == "ca.crt" else "canary" for key in keys}
    namespace = Namespace(secrets={"s": {"data": {key: encoded(value) for key, value in values.items()}}})
    read = keys & {"bearerToken", "username", "password"}

    def found() -> Credentials:
        return asyncio.run(credentials(namespace, "team", "s", list[str]().append))

    if read in USABLE and (read or "ca.crt" in keys):
        assert (bool(found().authorization), bool(found().ca)) == (bool(read), "ca.crt" in keys)
        return
    with pytest.raises(NotReady) as caught:
        found()
    assert all(key in caught.value.message for key in read or keys)
    assert ("canary" in caught.value.message, caught.value.reason) == (False, "SecretInvalid")


@pytest.mark.parametrize(("values", "header"), [
    ({"bearerToken": "abc"}, "Bearer abc"), ({"bearerToken": "abc\n"}, "Bearer abc"),
    ({"bearerToken": "\ufeffabc"}, "Bearer abc"),
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
    {}, {"username": "canary"}, {"password": "canary"}, {"bearerToken": "canary", "password": "canary"},
    {"bearerToken": ""}, {"bearerToken": "canary\r\nX-Evil: 1"}, {"bearerToken": "canaryé"},
    {"username": "a:canary", "password": "p"}, {"bearertoken": "canary"},
    {"bearerToken": "abc", "ca.crt": "canary"}, {"ca.crt": "\x00"},
])
async def test_a_secret_of_another_shape_is_not_ready_and_not_shown(values: dict[str, str]) -> None:
    namespace = Namespace(secrets={"s": {"data": {key: encoded(value) for key, value in values.items()}}})

    with pytest.raises(NotReady) as caught:
        await credentials(namespace, "team", "s", list[str]().append)

    error = caught.value
    assert (error.reason, "canary" in error.message, error.__cause__) == ("SecretInvalid", False, None)


async def test_a_secret_without_any_value_or_with_no_base64_is_invalid() -> None:
    for content in ({}, {"data": None}, {"data": {"bearerToken": "%%%"}}):
        with pytest.raises(NotReady, match="Secret 's'"):
            await credentials(Namespace(secrets={"s": content}), "team", "s", list[str]().append)
