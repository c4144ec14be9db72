"""Which connections go by a proxy: HTTPS_PROXY, HTTP_PROXY and NO_PROXY as users write them."""

from __future__ import annotations

import ipaddress
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentex_operator.core.errors import Unavailable
from agentex_operator.network.proxies import Proxies

PROXY = "http://proxy.example.com:3128"
labels = st.text(string.ascii_lowercase, min_size=1, max_size=8)
names = st.lists(labels, min_size=1, max_size=3).map(".".join)


def proxied(no_proxy: str, host: str, port: int = 443, scheme: str = "https") -> bool:
    return Proxies.of({"HTTPS_PROXY": PROXY, "HTTP_PROXY": PROXY, "NO_PROXY": no_proxy}).find(
        scheme, host, port) is not None


@pytest.mark.parametrize(("no_proxy", "host", "port", "is_proxied"), [
    ("", "api.example.com", 443, True),
    ("example.com", "example.com", 443, False),
    ("example.com", "api.example.com", 443, False),
    ("example.com", "badexample.com", 443, True),
    (".example.com", "api.example.com", 443, False),
    (".example.com", "example.com", 443, True),
    ("*.example.com", "api.example.com", 443, False),
    ("*.example.com", "example.com.evil.org", 443, True),
    ("EXAMPLE.com.", "API.Example.COM.", 443, False),
    ("example.com:8443", "api.example.com", 8443, False),
    ("example.com:8443", "api.example.com", 443, True),
    ("10.0.0.0/8", "10.1.2.3", 443, False),
    ("10.0.0.0/8", "11.1.2.3", 443, True),
    ("10.0.0.0/8", "name.example.com", 443, True),
    ("10.1.2.3/8", "10.9.9.9", 443, False),
    ("10.0.0.7", "10.0.0.7", 443, False),
    ("10.0.0.7", "10.0.0.70", 443, True),
    ("10.0.0.7:8443", "10.0.0.7", 443, True),
    ("fd00::/8", "fd00::1", 443, False),
    ("[fd00::1]:8443", "fd00::1", 8443, False),
    ("fd00::1", "[FD00:0::1]", 443, False),
    ("*", "api.example.com", 443, False),
    ("a.example.com, *", "api.example.com", 443, False),
    ("127.0.0.0/8,localhost,.svc", "api.example.com", 443, True),
    (" a.example.com ,\tb.example.com ", "b.example.com", 443, False),
    ("", "localhost", 443, False),
    ("", "127.0.0.1", 443, False),
    ("", "::1", 443, False),
    ("", "::ffff:127.0.0.1", 443, False),
    ("10.0.0.0/8", "::ffff:10.1.2.3", 443, False),
    ("*:443", "api.example.com", 443, True),
    ("https://api.example.com", "api.example.com", 443, True),
    ("10.*", "10.1.2.3", 443, True),
    (".", "api.example.com", 443, True),
    (":443", "api.example.com", 443, True),
    ("api.example.com:https", "api.example.com", 443, True),
    (",,::nonsense::,/8,http://x", "api.example.com", 443, True),
])
def test_an_entry_of_no_proxy_exempts_its_hosts(no_proxy: str, host: str, port: int, *, is_proxied: bool) -> None:
    assert proxied(no_proxy, host, port) is is_proxied


def test_each_scheme_has_its_own_proxy_and_lower_case_is_read_too() -> None:
    proxies = Proxies.of({"https_proxy": "https://secure.example.com", "HTTP_PROXY": "plain.example.com:80"})

    assert proxies.find("https", "a.example.com", 443) == "https://secure.example.com"
    assert proxies.find("http", "a.example.com", 80) == "http://plain.example.com:80"
    assert Proxies.of({}).find("https", "a.example.com", 443) is None


def test_the_password_of_a_proxy_is_known_so_that_it_is_kept_out_of_logs() -> None:
    assert Proxies.of({"HTTPS_PROXY": "http://user:canary@proxy.example.com:3128"}).secrets == ("canary",)


@pytest.mark.parametrize(("userinfo", "secrets"), [
    ("canary", ("canary",)), ("canary:", ("canary",)), (":canary", ("canary",)),
    ("user:can%40ary", ("can%40ary", "can@ary")),
])
def test_a_token_and_a_password_are_known_as_they_are_written_and_as_they_are_sent(
    userinfo: str, secrets: tuple[str, ...]
) -> None:
    assert Proxies.of({"HTTPS_PROXY": f"http://{userinfo}@proxy.example.com:3128"}).secrets == secrets


@pytest.mark.parametrize("url", [f"{PROXY}\n", f" {PROXY} ", f"{PROXY}\r\n"])
def test_white_space_around_a_proxy_is_dropped(url: str) -> None:
    assert Proxies.of({"HTTPS_PROXY": url}).find("https", "a.example.com", 443) == PROXY


def test_a_blank_variable_is_no_proxy() -> None:
    assert Proxies.of({"HTTPS_PROXY": " ", "HTTP_PROXY": "\n"}) == Proxies()
    assert Proxies.of({"HTTPS_PROXY": " ", "https_proxy": PROXY}).find("https", "a.example.com", 443) == PROXY


@pytest.mark.parametrize("url", ["socks5://user:canary@proxy:1080", "http://", "http://canary:99999999", "ftp://p",
                                 "http://[::1", "http://proxy:0"])
def test_a_proxy_that_cannot_be_used_is_an_error_without_its_text(url: str) -> None:
    with pytest.raises(Unavailable, match="HTTPS_PROXY") as caught:
        Proxies.of({"HTTPS_PROXY": url})

    assert "canary" not in caught.value.message


@given(names, names)
def test_a_name_exempts_itself_and_the_names_below_it_only(entry: str, host: str) -> None:
    is_below = host == entry or host.endswith(f".{entry}")

    assert proxied(entry, host) is not (is_below or host == "localhost")


@given(st.ip_addresses(v=4), st.integers(0, 32), st.ip_addresses(v=4))
def test_a_network_exempts_exactly_its_addresses(address: ipaddress.IPv4Address, bits: int,
                                                 other: ipaddress.IPv4Address) -> None:
    network = ipaddress.ip_network(f"{address}/{bits}", strict=False)

    assert proxied(str(network), str(other)) is not (other in network or other.is_loopback)


@given(st.text(max_size=60), st.text(string.printable, max_size=20))
def test_any_text_is_read_without_an_exception(no_proxy: str, host: str) -> None:
    assert proxied(no_proxy, host) in (True, False)
