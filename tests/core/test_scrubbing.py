"""What looks like a credential is removed from text, in bounded time; nobody told the operator the canaries."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentex_operator.core.scrubbing import REDACTED, LineScrubber, scrubbed

CANARY = "kAnArY0123456789AbCdEfGhIjKlMnOpQrStUv"
UPPER = "KANARY0123456789"
KEY_LINES = ("-----BEGIN RSA PRIVATE KEY-----", f"MIIE{CANARY}", CANARY, "-----END RSA PRIVATE KEY-----")
HOLDING = [
    f"ghp_{CANARY}", f"gho_{CANARY}", f"github_pat_{CANARY}", f"glpat-{CANARY}", f"sk-{CANARY}", f"sk-proj-{CANARY}",
    f"xoxb-1234-{CANARY}", f"AKIA{UPPER}", f"npm_{CANARY}", f"hvs.{CANARY}", f"eyJhbGciOi.{CANARY}.{CANARY}",
    f"eyJ{CANARY}", f"Authorization: Bearer {CANARY}", f"authorization: Basic {CANARY}==",
    f"-H 'Authorization: token {CANARY}' https://example.com", f'{{"Authorization": "Bearer {CANARY}"}}',
    f"Proxy-Authorization=Basic {CANARY}", f"the header is Bearer {CANARY}", f"password={CANARY}",
    f"PASSWORD: {CANARY}",
    f"DB_PASSWORD={CANARY}", f'"password": "{CANARY} with spaces {CANARY}"', f"password='{CANARY} x'",
    f'\\"token\\": \\"{CANARY}\\"', f"token={CANARY}&next=1", f"api_key={CANARY}", f"apiKey: {CANARY}",
    f"API-KEY={CANARY}", f"x-api-key: {CANARY}", f"AWS_SECRET_ACCESS_KEY={CANARY}", f"client_secret={CANARY}",
    f"--password {CANARY}", f"--registry-token {CANARY}", f"//registry.example.com/:_authToken={CANARY}",
    f"https://user:{CANARY}@example.com/x", f"git clone https://{CANARY}@example.com/x.git",
    f"postgres://app:p@{CANARY}@db:5432/app", f"https://x.example.com/a?sig={CANARY}%3D", "\n".join(KEY_LINES),
    f"-----BEGIN PRIVATE KEY----- {CANARY}", f"-----BEGIN OPENSSH PRIVATE KEY-----\\n{CANARY}",
]
PLAIN = [
    "Step 3/7 : RUN pip install -r requirements.txt", "body.image_name: Field required", "secretRef names no Secret",
    "fetching https://files.example.com/a/b.tar.gz?x=1", "the pod quote-bot-5d4f9 is not ready", "task-force is ready",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "mail user@example.com",
    "tokenizer: fast",
    "basic checks passed", "-----BEGIN CERTIFICATE-----", "exit code: 1",
]
HOSTILE = [
    "://" * 70_000, "eyJ" * 70_000, "eyJ+" * 50_000, "ghp_" * 50_000, "password" * 26_000, "password=" * 22_000,
    "password=\"" * 20_000, "password='\"" * 18_000, "token " * 34_000, f"token{' ' * 200_000}",
    "-----BEGIN PRIVATE KEY-----" * 8_000, "-----BEGIN " * 18_000, "authorization:" * 14_000, "a" * 200_000,
    "--a-" * 50_000, "-" * 200_000, "bearer " * 28_000, "sk-" * 66_000, "AKIA" * 50_000, "u:p@" * 50_000,
    f"https://{'a' * 200_000}", "sig=" * 50_000, "gl" * 100_000, "://a:b" * 34_000, "token\\\"'" * 24_000,
]


@pytest.mark.parametrize("text", HOLDING)
@pytest.mark.parametrize("around", ["{}", "#12 0.345 ERROR: {} failed", "\u00fc{}\n"])
def test_a_credential_that_nobody_told_is_removed(around: str, text: str) -> None:
    shown = scrubbed(around.format(text))

    assert REDACTED in shown
    assert CANARY not in shown
    assert UPPER not in shown


@pytest.mark.parametrize("text", PLAIN)
def test_ordinary_text_stays(text: str) -> None:
    assert scrubbed(text) == text


@given(st.sampled_from(HOLDING), st.text(max_size=30), st.text(max_size=30))
def test_a_credential_is_removed_whatever_stands_on_the_lines_around(text: str, before: str, after: str) -> None:
    shown = scrubbed(f"{before}\n{text}\n{after}")

    assert CANARY not in shown


@given(st.text(max_size=200) | st.lists(st.sampled_from(HOLDING + PLAIN), max_size=5).map(" ".join))
def test_scrubbing_twice_gives_the_same(text: str) -> None:
    assert scrubbed(scrubbed(text)) == scrubbed(text)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:20])
def test_a_line_of_200_kilobytes_takes_bounded_time(text: str) -> None:
    began = time.process_time()
    scrubbed(text)

    assert time.process_time() - began < 2  # quadratic time would be minutes


def test_a_private_key_on_many_lines_is_removed_and_what_follows_is_shown() -> None:
    scrubber = LineScrubber()
    shown = [scrubber.scrub(f"#7 0.1 {line}") for line in ("before", *KEY_LINES, "after")]

    assert (shown[0], shown[-1]) == ("#7 0.1 before", "#7 0.1 after")
    assert CANARY not in "".join(shown)


def test_a_private_key_without_an_end_does_not_hide_the_rest_of_a_log() -> None:
    scrubber = LineScrubber()
    shown = [scrubber.scrub(line) for line in (KEY_LINES[0], *[CANARY] * 100, *["step"] * 200)]

    assert CANARY not in "".join(shown)
    assert shown[-1] == "step"
