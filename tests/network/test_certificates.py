"""Any bytes under `ca.crt` are a list of PEM certificates or NotReady(SecretInvalid), and never an exception of ssl."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.network.authority import Authority

from agentex_operator.core.errors import NotReady
from agentex_operator.network.trust import Trust, certificates

TRUST = Trust()


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return Authority.create(tmp_path_factory.mktemp("authority")).certificate.read_bytes()


def refuses(error: NotReady) -> bool:
    """False, after asserting that the error is SecretInvalid and says where the bytes are."""
    assert error.reason == "SecretInvalid"
    assert "'ca.crt' of Secret 'ca'" in error.message
    return False


def is_certificates(content: bytes) -> bool:
    """Whether the bytes are usable; then a TLS context can be made of them."""
    try:
        text = certificates(content, "Secret 'ca'")
    except NotReady as error:
        return refuses(error)
    assert isinstance(TRUST.context(text), ssl.SSLContext)
    return True


BEGIN, END = b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n"
framed = st.one_of(st.binary(max_size=80), st.text("ABCab01+/=\n ", max_size=80).map(str.encode)).map(
    lambda one: BEGIN + one + b"\n" + END)


@settings(max_examples=40, deadline=None)
@given(st.one_of(st.binary(max_size=120), framed, st.tuples(framed, st.binary(max_size=20)).map(b"".join)))
def test_any_bytes_are_certificates_or_secret_invalid(content: bytes) -> None:
    assert is_certificates(content) is (content.strip(b" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f") == b"")


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_a_certificate_with_changed_bytes_is_usable_or_secret_invalid(pem: bytes, data: st.DataObject) -> None:
    changed = bytearray(pem)
    for place in data.draw(st.lists(st.integers(0, len(pem) - 1), min_size=1, max_size=4)):
        changed[place] = data.draw(st.integers(0, 255))
    is_certificates(bytes(changed))
    is_certificates(pem[:data.draw(st.integers(0, len(pem)))])


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 3), st.sampled_from((b"", b"\n", b"# the authority of the office\n", b"\r\n",
                                                  "# F\u0151tan\u00fas\u00edtv\u00e1ny\n".encode())))
def test_several_certificates_with_text_between_are_usable(pem: bytes, count: int, between: bytes) -> None:
    assert is_certificates(between.join([pem] * count) + between)
    assert is_certificates(pem.replace(b"\n", b"\r\n"))
    assert is_certificates(b"\xef\xbb\xbf" + pem)


def test_what_is_no_certificate_is_secret_invalid(pem: bytes) -> None:
    assert not is_certificates(pem + b"\xff")
    assert not is_certificates(b"\xef\xbb\xbf" + BEGIN)
    assert not is_certificates(b"\xef\xbb\xbf")
    assert not is_certificates(pem + b"x" * 1024 * 1024)
    assert not is_certificates(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
