"""Any bytes of a stranger are read or refused as InvalidInput, in bounded time: gzip, tar, redirects, headers."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import tempfile
import threading
import time
import zlib
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sources.archives import a_header, a_link, a_pax_header, a_tar, an_entry, unpacked, with_checksum
from tests.sources.hostile_archives import END, REFUSED, gz

from agentex_operator.core.errors import InvalidInput, NotReady, Unavailable
from agentex_operator.network.trust import Trust
from agentex_operator.sources.addresses import AddressPolicy, Target, redirected
from agentex_operator.sources.download import Downloader, DownloadRequest, Timeouts
from agentex_operator.sources.gunzip import Gunzip
from agentex_operator.sources.limits import ContextLimits
from agentex_operator.sources.validators import Validators
from agentex_testkit import samples

TRUST = Trust()
REASONS = {"InvalidContext", "CorruptContext", "ContextTooLarge", "UnsafeSymlink"}
SMALL = ContextLimits(unpacked=10**6)


def inflated(packed: bytes, size: int = 1000) -> bytes | None:
    """What Gunzip reads; None if it refuses the bytes."""
    try:
        stream, found = Gunzip(io.BytesIO(packed), SMALL, threading.Event()), b""
        while chunk := stream.read(size):
            found += chunk
    except InvalidInput as error:
        require(error, {"CorruptContext", "ContextTooLarge"})
        return None
    return found


def require(error: InvalidInput, reasons: set[str]) -> None:
    """Assert that the refusal has one of these reasons, and a text that can be shown."""
    assert error.reason in reasons
    assert error.message.isprintable()


def read(packed: bytes) -> None:
    """Read an archive; InvalidInput with one of the documented reasons is the only exception, and nothing is left."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with unpacked(Path(folder), packed):
                pass
        except InvalidInput as error:
            require(error, REASONS)
        assert [one.name for one in Path(folder).iterdir() if one.name != "blobs"] == []


# --- gzip -------------------------------------------------------------------------------------------------------------

members = st.lists(st.binary(max_size=300), min_size=1, max_size=4)
any_bytes = st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(b"\x1f\x8b\x08\x00".__add__))


@settings(max_examples=samples.examples(60), deadline=None)
@given(members, st.integers(0, 600), st.integers(1, 400))
def test_members_one_after_the_other_with_zeros_between_are_their_contents(
    contents: list[bytes], padding: int, size: int
) -> None:
    assert inflated(bytes(padding).join(map(gzip.compress, contents)) + bytes(padding), size) == b"".join(contents)


@settings(max_examples=samples.examples(60), deadline=None)
@given(members, st.data())
def test_an_archive_that_is_cut_off_within_a_member_is_refused(contents: list[bytes], data: st.DataObject) -> None:
    packed = [gzip.compress(one) for one in contents]
    whole = b"".join(packed)
    ends = {sum(map(len, packed[:count])) for count in range(1, len(packed) + 1)}
    at = data.draw(st.integers(0, len(whole)).filter(lambda place: place not in ends))

    assert inflated(whole[:at]) is None


@settings(max_examples=samples.examples(80), deadline=None)
@given(any_bytes, st.binary(max_size=100))
def test_any_bytes_are_unpacked_as_zlib_does_or_refused(before: bytes, content: bytes) -> None:
    for packed in (before, before + gzip.compress(content), gzip.compress(content) + before):
        found = inflated(packed)
        assert found is None or found == (zlib_reads(packed) or b"")


def zlib_reads(packed: bytes) -> bytes | None:
    """What the members of a gzip are for zlib, with zeros as padding."""
    found, left = b"", packed.lstrip(b"\0")
    while left:
        member = zlib.decompressobj(16 + zlib.MAX_WBITS)
        found, left = found + member.decompress(left), member.unused_data.lstrip(b"\0")
        assert member.eof
    return found


# --- tar --------------------------------------------------------------------------------------------------------------

LONG = "d" * 90 + "/" + "n" * 90
VALID = [
    a_tar(an_entry("project/acp.py", b"x" * 700), an_entry(LONG, b"y"), form=form)
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT)
] + [a_tar(an_entry("a", b"x"), a_link("l", "a"), form=tarfile.PAX_FORMAT)]
changes = st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=6)


@settings(max_examples=samples.examples(40), deadline=None)
@given(st.sampled_from(VALID), changes, st.booleans(), st.integers(0, 3000))
def test_an_archive_with_changed_bytes_is_read_or_refused(
    raw: bytes, changed: list[tuple[int, int]], checksums: bool, cut: int
) -> None:
    found = bytearray(raw)
    for place, value in changed:
        found[place % len(found)] = value
    if checksums:  # of each header, so that what follows the checksum is reached
        for at in range(0, len(found) - 511, 512):
            if raw[at + 257:at + 262] == b"ustar":
                found[at:at + 512] = with_checksum(bytes(found[at:at + 512]))
    whole = bytes(found)
    for one in (whole, whole[:-(cut % len(whole)) or None]):
        read(gz(one))


@settings(max_examples=samples.examples(50), deadline=None)
@given(st.lists(st.tuples(st.sampled_from(b"0157xXgLKVS2\0"), st.binary(max_size=100)), max_size=5))
def test_any_order_of_headers_with_any_content_is_read_or_refused(entries: list[tuple[int, bytes]]) -> None:
    blocks = b"".join(a_header(b"a", b"%011o\0" % len(content), bytes([flag])) + content
                      + bytes(-len(content) % 512) for flag, content in entries)
    read(gz(blocks + END))


@settings(max_examples=samples.examples(60), deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=4), st.binary(max_size=20))
def test_any_records_of_an_extended_header_are_read_or_refused(records: list[bytes], rest: bytes) -> None:
    content = b"".join(b"%d %s\n" % (len(one) + 4 + (len(one) + 4 > 9), one) for one in records) + rest
    read(gz(a_pax_header(content) + a_tar(an_entry("a", b"x"))))


def test_a_large_extended_header_of_many_records_is_read_in_little_time() -> None:
    packed = gz(a_pax_header(b"6 a=b\n" * (1024 * 1024 // 6)) + a_tar(an_entry("a", b"x")))
    began = time.process_time()
    read(packed)

    assert time.process_time() - began < 3  # a copy of the rest for each record takes longer


@pytest.mark.exhaustive
def test_every_hostile_archive_with_changed_bytes_is_read_or_refused() -> None:
    chance = random.Random(13)  # noqa: S311 - no secret is made of it
    raws = [raw for _, packed, _ in REFUSED if len(raw := inflated(packed) or b"") and len(raw) < 100_000]
    assert raws
    for raw in raws * 5:
        found = bytearray(raw)
        for _ in range(chance.randint(1, 8)):
            found[chance.randrange(len(found))] = chance.randrange(256)
        read(gz(bytes(found)))


# --- what a server answers -------------------------------------------------------------------------------------------

FROM = Target("https", "files.example.com", 443, "/a/b?c", ())
locations = st.one_of(st.text(max_size=40), st.text("/\\:@[]#?%.0123456789abcdefhtps", max_size=40),
                      st.text(max_size=30).map("https://".__add__), st.text("[]:0123456789abf%", max_size=20).map(
                          "https://{}/x".format))


@settings(max_examples=samples.examples(60), deadline=None)
@given(locations)
def test_any_redirect_leads_to_a_checked_https_address_or_is_refused(location: str) -> None:
    try:
        joined = redirected(FROM, location)
    except InvalidInput as error:
        require(error, {"InvalidURL"})
        return
    assert joined.lower().startswith("https://")


@settings(max_examples=samples.examples(60), deadline=None)
@given(locations)
async def test_any_url_is_a_target_of_one_public_host_or_refused(url: str) -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        return ["93.184.216.34"]

    try:
        target = await AddressPolicy(resolve=resolve).check(url)
    except InvalidInput as error:
        require(error, {"InvalidURL"})
        return
    except Unavailable:
        return
    assert httpx.URL(target.at(target.addresses[0])).host == str(target.addresses[0])
    assert target.scheme == "https"
    assert target.port in (443, 8443)


header_values = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=30)


@settings(max_examples=samples.examples(60), deadline=None)
@given(st.sampled_from((200, 301, 302, 304, 307, 308, 429, 503)), st.dictionaries(st.sampled_from(
    ("Content-Length", "Location", "Retry-After", "Content-Type", "Content-Encoding", "Set-Cookie", "Content-Range",
     "ETag", "Last-Modified", "Date")),
    st.one_of(header_values, st.integers().map(str), st.sampled_from(("²", "1e9", "+1", "9" * 400, "/x", '"a"')))),
    st.binary(max_size=30), st.sampled_from((f"sha256:{'0' * 64}", None)), st.booleans())
async def test_any_headers_of_an_answer_are_a_file_or_an_error_of_ours(
    status: int, headers: Mapping[str, str], body: bytes, digest: str | None, is_conditional: bool
) -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        return ["93.184.216.34"]

    def answer(_request: httpx.Request) -> httpx.Response:
        raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
        return httpx.Response(status, headers=raw, stream=httpx.ByteStream(body))

    with tempfile.TemporaryDirectory() as folder:
        asking = Downloader(AddressPolicy(resolve=resolve), Timeouts(), lambda: httpx.MockTransport(answer), TRUST)
        request = DownloadRequest("https://files.example.com/c.tar.gz", digest, 10,
                                  unless=Validators('"a"') if is_conditional else Validators())
        found, said = None, ""
        try:
            found = await asking.download(request, Path(folder) / "c.tar.gz")
        except (InvalidInput, NotReady, Unavailable) as error:
            said = str(error)

    assert len(said) < 2000
    if found is None:
        assert said or (status == 304 and is_conditional)
    else:
        assert (status, found.size, digest) == (200, len(body), None)
