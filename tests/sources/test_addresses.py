"""Server-side request forgery (reliability.md §2f): what may not be asked is never connected to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sources.hostile_addresses import PRIVATE, PUBLIC, REDIRECTS, URLS, Outside

from agentex_operator.core.errors import InvalidInput, Unavailable
from agentex_operator.sources.addresses import AddressPolicy, shown


@pytest.mark.parametrize("url", URLS)
async def test_a_url_of_this_shape_is_refused_without_a_connection(url: str, tmp_path: Path) -> None:
    outside = Outside()

    error = await outside.fetch(url, tmp_path)

    assert (type(error), outside.connected, getattr(error, "reason", "")) == (InvalidInput, [], "InvalidURL")


@pytest.mark.parametrize("address", PRIVATE)
async def test_an_address_that_is_not_public_is_refused_as_a_literal(address: str, tmp_path: Path) -> None:
    outside = Outside()

    error = await outside.fetch(f"https://[{address}]/c" if ":" in address else f"https://{address}/c", tmp_path)

    assert (getattr(error, "reason", ""), outside.connected) == ("InvalidURL", [])


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_name_that_leads_to_such_an_address_is_refused_even_beside_a_public_one(address: str, tmp_path: Path
                                                                                       ) -> None:
    outside = Outside({"alone.example.com": [[address]], "both.example.com": [[PUBLIC, address]]})

    errors = [await outside.fetch(f"https://{name}/c", tmp_path) for name in outside.names]

    assert ([getattr(error, "reason", "") for error in errors], outside.connected) == (["InvalidURL"] * 2, [])


async def test_the_connection_goes_to_the_checked_address_whatever_the_dns_answers_next(tmp_path: Path) -> None:
    outside = Outside({"rebinding.example.com": [[PUBLIC], ["127.0.0.1"]]})

    await outside.fetch("https://rebinding.example.com/c", tmp_path)

    assert outside.connected == [(PUBLIC, "rebinding.example.com")]


@pytest.mark.parametrize("target", REDIRECTS)
async def test_a_redirect_is_checked_like_the_first_address(target: str, tmp_path: Path) -> None:
    outside = Outside({"internal.example.com": [["10.0.0.1"]]}, {"https://files.example.com/c": target})

    error = await outside.fetch("https://files.example.com/c", tmp_path)

    assert (getattr(error, "reason", ""), outside.connected) == ("InvalidURL", [(PUBLIC, "files.example.com")])


async def test_a_chain_of_redirects_is_checked_at_its_end_and_followed_three_times_at_most(tmp_path: Path) -> None:
    chain = {f"https://files.example.com/{hop}": f"/{hop + 1}" for hop in range(9)}
    outside = Outside(redirects=chain)

    error = await outside.fetch("https://files.example.com/0", tmp_path)

    assert (getattr(error, "reason", ""), len(outside.connected)) == ("InvalidURL", 4)


async def test_credentials_go_to_the_first_origin_only(tmp_path: Path) -> None:
    outside = Outside(redirects={"https://a.example.com/c": "/d", "https://a.example.com/d": "https://b.example.com/e",
                                 "https://b.example.com/e": "https://a.example.com:8443/f"})

    await outside.fetch("https://a.example.com/c", tmp_path)

    assert outside.credentials == ["Bearer canary", "Bearer canary", None, None]


@pytest.mark.parametrize("url", ["https://93.184.215.14/c", "https://[2606:4700::1111]/c", "https://FILES.example.com/c",
                                 "https://files.example.com:8443/c?token=x", "https://[64:ff9b::93.184.215.14]/c"])
async def test_public_addresses_are_asked(url: str, tmp_path: Path) -> None:
    outside = Outside()

    error = await outside.fetch(url, tmp_path)

    assert (len(outside.connected), getattr(error, "reason", "")) == (1, "DigestMismatch")


@pytest.mark.parametrize("allowed", ["127.0.0.1:8080", "[::1]:8080", "artifacts.svc:8080"])
async def test_the_settings_may_allow_a_host_and_port(allowed: str, tmp_path: Path) -> None:
    outside = Outside({"artifacts.svc": [["10.0.0.9"]]})

    await outside.fetch(f"http://{allowed}/c", tmp_path, allowed)
    await outside.fetch(f"http://{allowed[:-4]}8081/c", tmp_path, allowed)

    assert [name for _, name in outside.connected] == [allowed]


@pytest.mark.parametrize(("allowed", "asked"), [
    ("Files.Intern:8080", "files.intern:8080"), ("files.intern:8080", "FILES.intern:8080"),
    ("files.intern.:8080", "files.intern:8080"), ("files.intern:08080", "files.intern:8080"),
    ("[FD00:0::1]:8080", "[fd00::1]:8080"), ("[fd00::1]:8080", "[FD00:0:0::1]:8080"),
    ("b\u00fccher.intern:8080", "xn--bcher-kva.intern:8080"),
])
async def test_an_allowed_host_may_be_written_in_any_spelling(allowed: str, asked: str, tmp_path: Path) -> None:
    outside = Outside({"files.intern": [["10.0.0.9"]], "xn--bcher-kva.intern": [["10.0.0.9"]]})

    await outside.fetch(f"http://{asked}/c", tmp_path, allowed)

    assert len(outside.connected) == 1


@given(st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8}){1,2}", fullmatch=True), st.randoms(use_true_random=False))
def test_the_case_of_an_allowed_host_does_not_matter(host: str, random: Random) -> None:
    mixed = "".join(random.choice((letter, letter.upper())) for letter in host)

    async def resolve(_host: str, _port: int) -> list[str]:
        return ["10.0.0.9"]

    checked = asyncio.run(AddressPolicy(frozenset({f"{mixed}:8080"}), resolve).check(f"http://{host}:8080/c"))
    assert checked.authority == f"{host}:8080"


async def test_link_local_addresses_cannot_be_allowed(tmp_path: Path) -> None:
    outside = Outside({"a.example.com": [["169.254.169.254"]]})

    error = await outside.fetch("http://a.example.com:80/c", tmp_path, "a.example.com:80")

    assert (getattr(error, "reason", ""), outside.connected) == ("InvalidURL", [])


async def test_a_name_that_does_not_resolve_is_a_temporary_failure(tmp_path: Path) -> None:
    async def fails(_host: str, _port: int) -> Sequence[str]:
        raise OSError(-2, "Name or service not known")

    with pytest.raises(Unavailable):
        await AddressPolicy(resolve=fails).check("https://files.example.com/c")


@pytest.mark.parametrize(("url", "safe"), [
    ("https://user:canary@h/p?sig=canary#canary", "https://h/p"), ("https://h/p;x", "https://h/p;x"),
    ("https://h?canary@x", "https://h"), ("no url at all", "no url at all"),
])
def test_a_url_is_shown_without_parts_that_may_be_secret(url: str, safe: str) -> None:
    assert shown(url) == safe
