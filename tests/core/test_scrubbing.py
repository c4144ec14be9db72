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
    # names that end in `key`, or mean a password
    f"SECRET_KEY={CANARY}", f"DJANGO_SECRET_KEY='{CANARY}'", f"SECRET_KEY_BASE={CANARY}", f"ENCRYPTION_KEY: {CANARY}",
    f"DB_PASS={CANARY}", f"GITHUB_PAT={CANARY}", f"some_other_key: {CANARY}", f"API key: {CANARY}",
    f"API_KEY_PROD={CANARY}", f"PASSWORD2={CANARY}", f"CONNECTION_STRING={CANARY}", f'"auth": "{CANARY}"',
    # other ways to write a name and its value
    f"ENV API_KEY {CANARY}", f"Step 3/9 : ENV NPM_TOKEN {CANARY}", f"<password>{CANARY}</password>",
    f'<add key="Password" value="{CANARY}"/>', f'{{"name":"API_KEY","value":"{CANARY}"}}', f"('API_KEY', '{CANARY}')",
    f"name: API_KEY, value: {CANARY}", f"api_key=b'{CANARY}'", f'token=Some("{CANARY}")', f"password=({CANARY})",
    f"token%3D{CANARY}", f"API_KEY | {CANARY}", f"API_KEY -> {CANARY}", f"bearer: {CANARY}",
    # of commands, headers and URLs
    f"curl -u user:{CANARY} https://x.example.com", f"curl --user user:{CANARY} https://x.example.com",
    f"docker login -u x -p {CANARY}", f"machine x.example.com login x password {CANARY}", f"Cookie: session={CANARY}",
    f"Set-Cookie: sid={CANARY}; Path=/", f"postgres://user:pa/{CANARY}@db/x", f"DSN: user:{CANARY}@tcp(db:3306)/x",
    f"oauth2:{CANARY}@gitlab.example.com", f"https://hooks.slack.com/services/T00/B00/{CANARY}",
    # beginnings of tokens
    f"sk_live_{CANARY}", f"whsec_{CANARY}", f"SG.{CANARY}.{CANARY}", f"ya29.{CANARY}", f"GOCSPX-{CANARY}",
    f"hvb.{CANARY}", f"dop_v1_{CANARY}", f"shpat_{CANARY}", f"lin_api_{CANARY}", f"dckr_oat_{CANARY}",
    f"xoxe.xoxp-1-{CANARY}", f"nvapi-{CANARY}", f"gsk_{CANARY}", f"tskey-auth-{CANARY}",
    # escape sequences of terminals, and characters that are not shown
    f"tok\x1b[31men={CANARY}", f"gh\x1b[1;31mp_{CANARY}", f"\x1b]8;;http://x\x07ghp_\x1b]8;;\x07{CANARY}",
    f"\x9b31mghp_\x9b0m{CANARY}", f"ghp\u200b_{CANARY}", f"pass\u00adword={CANARY}",
    # base64 as programs wrap it
    f"{CANARY}{'x' * 26}\n", f"{CANARY}{'x' * 38}\n",
]
PLAIN = [
    "Step 3/7 : RUN pip install -r requirements.txt", "body.image_name: Field required", "secretRef names no Secret",
    "fetching https://files.example.com/a/b.tar.gz?x=1", "the pod quote-bot-5d4f9 is not ready", "task-force is ready",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "mail user@example.com",
    "tokenizer: fast",
    "basic checks passed", "-----BEGIN CERTIFICATE-----", "exit code: 1",
    "Using cached key: linux-pip-3f2a9c", "auth: required", "FROM python:3.11-slim@sha256:abcdef0123456789",
    "FROM r.example.com/python:3.12@sha256:0a1b", "npm WARN deprecated left-pad@1.3.0", "PASS: test_x1", "user: root",
    "git@github.com:org/repo.git", "http://localhost:8080/a@b", "a1b2" * 16, "compass: north", "monkey: banana1234",
    "SyntaxError: invalid token (line 3)", "ERROR: secret mynpmrc: not found", "primary_key: id", "set -euo pipefail",
    "integrity sha512-" + "aB1" * 28 + "Qw==", "/usr/lib/python3/" + "a/B1" * 20, "author: Jane Doe",
]
NAMES = ["password", "DB_PASSWORD", "passwd", "SMTP_PASS", "secret", "client_secret", "SECRET_KEY", "apiKey", "API_KEY",
         "x-api-key", "access_token", "TOKEN", "private_key", "SigningKey", "encryption-key", "credentials", "AUTH_KEY"]
BETWEEN = ["=", ": ", " = ", "=>", ":=", '": "', "': '", '\\": \\"', "%3D", " -> ", "=b'",
           '=Some("', "|", '","value":"']
HOSTILE = [
    "://" * 70_000, "eyJ" * 70_000, "eyJ+" * 50_000, "ghp_" * 50_000, "password" * 26_000, "password=" * 22_000,
    "password=\"" * 20_000, "password='\"" * 18_000, "token " * 34_000, f"token{' ' * 200_000}",
    "-----BEGIN PRIVATE KEY-----" * 8_000, "-----BEGIN " * 18_000, "authorization:" * 14_000, "a" * 200_000,
    "--a-" * 50_000, "-" * 200_000, "bearer " * 28_000, "sk-" * 66_000, "AKIA" * 50_000, "u:p@" * 50_000,
    "api_key " * 25_000, "a_key=" * 33_000, "ENV API_KEY " * 16_000, "login x password " * 12_000, "-u a:" * 40_000,
    "a:bcdefgh@" * 20_000, "\x1b[" * 100_000, "\x1b]" * 100_000, "token=(" * 28_000, "token=f." * 25_000,
    "token_id_key_" * 15_000, "://a:b/" * 30_000, "cookie:" * 28_000, "aB1" * 66_000, ("aB1/" * 16 + "\n") * 3_000,
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


@given(st.sampled_from(NAMES), st.sampled_from(BETWEEN), st.text("ABCabc019+/=_.-", min_size=8, max_size=40),
       st.sampled_from(["", "#12 0.345 ", "export ", "\x1b[33m", '{"a": 1, "', "?x=1&"]))
def test_a_value_behind_a_name_of_a_credential_is_removed(name: str, between: str, value: str, before: str) -> None:
    text = f"{before}{name}{between}{value}"

    assert scrubbed(text).endswith(REDACTED), text


@given(st.text(max_size=200) | st.lists(st.sampled_from(HOLDING + PLAIN), max_size=5).map(" ".join))
def test_scrubbing_twice_gives_the_same(text: str) -> None:
    assert scrubbed(scrubbed(text)) == scrubbed(text)


@pytest.mark.exhaustive
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


def test_a_private_key_whose_first_line_is_not_there_is_removed_save_its_last_line() -> None:
    scrubber = LineScrubber()
    line = f"{CANARY}/{CANARY}"[:64]

    assert [scrubber.scrub(f"#7 0.1 {one}") for one in (line, line, "-----END RSA PRIVATE KEY-----")] == [
        f"#7 0.1 {REDACTED}", f"#7 0.1 {REDACTED}", "#7 0.1 -----END RSA PRIVATE KEY-----"]


def test_a_private_key_in_colours_is_removed() -> None:
    scrubber = LineScrubber()
    coloured = ["-----BEGIN RSA \x1b[31mPRIVATE KEY-----", CANARY, "-----END RSA PRIVATE\x1b[0m KEY-----", "after"]

    assert [scrubber.scrub(one) for one in coloured] == [REDACTED, REDACTED, REDACTED, "after"]
