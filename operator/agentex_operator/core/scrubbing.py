"""Removes what looks like a credential from text of the remote API, before the text is shown in a status or an Event.

A build log or a deployment event can hold a secret that the operator was never told. The status that shows the text can
be read by more people than the secret was meant for. Every pattern takes time in proportion to the text's length. A
doubtful word is removed.
"""

from __future__ import annotations

import re
from typing import Final

REDACTED: Final = "[redacted]"
_SHORTEST: Final = 10            # characters of a text that can hold a name and a value worth hiding
_LONGEST_KEY: Final = 200        # lines of a private key without an end

# --- what hides a credential from a pattern: escape sequences of terminals, and characters that are not shown ------
_ESCAPES: Final = re.compile(r"(?:\x1b\[|\x9b)[0-9;:?]{0,64}[ -/]{0,8}[@-~]|\x1b\][^\x07\x1b]{0,2048}(?:\x07|\x1b\\)?")
_UNSEEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u061c\u180e\u200b-\u200f"
                            "\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff]")

# --- the names of credentials, and their values --------------------------------------------------------------------
_KEY_OF: Final = (r"(?:api|access|private|account|secret|sign(?:ing)?|encr?yption|crypto|master|auth|shared|storage|"
                  r"session|license|client|deploy|fernet|cookie|jwt|service|webhook|hmac|ssh|gpg|root|admin|user)")
_WORD: Final = (r"(?:passw(?:or)?[dt]|passphrase|pwd|secret|token|credentials?|connection[_-]?string|_auth|"
                rf"(?<![a-z])bearer|(?<![a-z])auth[_-]?code|{_KEY_OF}[ _-]?key|(?<=_)(?:pass|pat|otp|pin|dsn))")
_MORE: Final = (r"(?:[_-]?(?:id|key|base|value|string|json|pem|data|b64|base64|raw|text|prod|dev|staging|test|"
                r"[0-9]{1,3}))")
_NAME: Final = rf"{_WORD}{_MORE}{{0,2}}+"
_BETWEEN: Final = r"(?:=>|:=|->|={1,3}|[:|]|%3[AaDd])"
_VALUE: Final = (r"(?:\\?\"[^\"\r\n]{1,4096}\"?|'[^'\r\n]{1,4096}'?|"  # a line may end within the quotes
                 r"(?!\[redacted\])[^\s\"'\\,;&|<>(){}]{1,4096})")
# What may stand before a value: Some("..."), b'...', (...)
_WRAPPED: Final = r"(?:[A-Za-z_.]{0,24}[(\[](?!redacted\])[A-Za-z_]{0,16}=?|[bru](?=[\"']))?"
_MIXED: Final = r"(?=[^\s\"']{0,64}[0-9])(?=[^\s\"']{0,64}[A-Za-z])"  # a value that is no word and no number
_KEY_END: Final = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BEGINS: Final = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY: Final = re.compile(rf"{_KEY_BEGINS.pattern}.*?(?:{_KEY_END.pattern}|\Z)", re.DOTALL)
_TOKENS: Final = re.compile("|".join((
    r"gh[opsur]_[A-Za-z0-9]{16,}", r"github_pat_[A-Za-z0-9_]{16,}", r"gl[a-z]{2,5}-[A-Za-z0-9_.-]{16,}",
    r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{16,}", r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{8,}", r"xapp-[A-Za-z0-9-]{8,}",
    r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{12,}", r"AIza[A-Za-z0-9_-]{30,}", r"npm_[A-Za-z0-9]{30,}",
    r"pypi-[A-Za-z0-9_-]{16,}", r"hf_[A-Za-z0-9]{20,}", r"dckr_[a-z]{3}_[A-Za-z0-9_-]{16,}",
    r"hv[sbr]\.[A-Za-z0-9_-]{16,}", r"(?<![A-Za-z0-9])(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,}",
    r"(?<![A-Za-z0-9])(?:whsec|gsk|r8|lin_api|rubygems|sntrys|sntryu|shp[a-z]{2}|pul|d[a-z]{2}_v1|ops|tfp)_"
    r"[A-Za-z0-9=+/_-]{20,}",
    r"(?<![A-Za-z0-9])(?:nvapi|PMAK|GOCSPX|tskey-[a-z]{1,12}|AGE-SECRET-KEY|NRAK|LTAI)-[A-Za-z0-9_-]{16,}",
    r"(?<![A-Za-z0-9])SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}", r"(?<![A-Za-z0-9])ya29\.[A-Za-z0-9_-]{20,}",
    r"(?<![A-Za-z0-9])dapi[0-9a-f]{32}", r"(?<=hooks\.slack\.com/services/)[A-Za-z0-9/]{16,}",
    r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_=+/.-]{16,}",  # a JWT, or JSON in base64 such as registry credentials
)))
# A line of nothing but wrapped base64: of a private key whose first line is not there, or of a secret that was encoded.
_WRAPPED_LINE: Final = re.compile(
    r"(?m)(?<![A-Za-z0-9+/=])(?=[A-Z0-9+/]{0,63}[a-z])(?=[a-z0-9+/]{0,63}[A-Z])(?=[A-Za-z+/]{0,63}[0-9+/])"
    r"(?:[A-Za-z0-9+/]{64}|[A-Za-z0-9+/]{70}|[A-Za-z0-9+/]{76})(?=[ \t]{0,8}\r?$)")
_REPLACED: Final = (  # looked for in every text
    (_KEY, REDACTED),
    (re.compile(r"(?<=://)[^\s/?#\"'<>]{1,1024}@"), f"{REDACTED}@"),
    (re.compile(r"(?<=://)[^\s/?#:@\"'<>]{0,256}:(?![0-9]{1,5}(?:[/?#]|\Z|\s))[^\s@\"'<>]{1,1024}@"), f"{REDACTED}@"),
    (re.compile(r"(?<![A-Za-z0-9._-])[A-Za-z0-9._-]{1,64}:(?!//)[^\s@/:\"'<>]{6,1024}"
                r"(?=@(?!sha[0-9]{3}:)[A-Za-z0-9-]{1,64}(?:\.[A-Za-z]|\(|:[0-9]))"), REDACTED),
    (re.compile(r"\b(bearer|basic)(\s{1,8})[A-Za-z0-9._~+/=-]{16,}", re.IGNORECASE), rf"\1\2{REDACTED}"),
    (_TOKENS, REDACTED),
    (_WRAPPED_LINE, REDACTED),
    (re.compile(r"((?:^|\s)(?:-u|--user)[ =][^\s:\"']{1,256}:)(?!\[redacted\])[^\s\"']{1,1024}", re.MULTILINE),
     rf"\1{REDACTED}"),
    (re.compile(r"((?<![A-Za-z])(?:x-amz-)?sig(?:nature)?=)[A-Za-z0-9%+/_=-]{8,}", re.IGNORECASE), rf"\1{REDACTED}"),
)
_HINTS: Final = ("key", "pass", "pwd", "secret", "token", "credential", "connection", "auth", "bearer", "cookie",
                 "login", "_pat", "_otp", "_pin", "_dsn")
_NAMED: Final = (  # looked for in text that has one of the hints: searching for many names takes time
    # NAME=value and its relatives, also of JSON, Python, URLs; <name>value; "name": "NAME", "value": "value"
    (re.compile(rf"({_NAME}[\\\"']{{0,4}}+\s{{0,8}}+{_BETWEEN}\s{{0,8}}+){_WRAPPED}{_VALUE}", re.IGNORECASE),
     rf"\1{REDACTED}"),
    (re.compile(rf"({_NAME}>\s{{0,8}}+)(?!\[redacted\])[^<>\s]{{1,4096}}", re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(rf"({_NAME}[\\\"']{{0,4}}+,?\s{{0,8}}+[\\\"']{{0,4}}+(?:value[\\\"']{{0,4}}+\s{{0,8}}+[:=]\s{{0,8}}+)"
                rf"){_WRAPPED}{_VALUE}", re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(rf"({_NAME}(?P<quote>[\"'])[,(]\s{{0,8}}+){_VALUE}", re.IGNORECASE), rf"\1{REDACTED}"),
    # names that are credentials only where the value looks like one
    (re.compile(rf"((?<![A-Za-z])(?:[A-Za-z0-9]{{1,40}}_key|auth|pass)[\\\"']{{0,4}}+\s{{0,8}}+[:=]\s{{0,8}}+"
                rf"[\\\"']{{0,4}}+){_MIXED}(?!\[redacted\])[^\s\"'\\,;&|<>(){{}}]{{8,4096}}", re.IGNORECASE),
     rf"\1{REDACTED}"),
    # a word before the value: ENV NAME value, --name value, login x password value
    (re.compile(rf"((?<![A-Za-z])(?:ENV|ARG|export|set)\s{{1,8}}[A-Za-z0-9_]{{0,64}}?{_NAME}\s{{1,8}}){_VALUE}",
                re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(rf"(--(?:[a-z]{{1,16}}-){{0,2}}{_NAME}\s{{1,4}})(?!-){_VALUE}", re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(r"((?<![A-Za-z])(?:login|sshpass)\b[^\r\n]{0,256}?\s(?:-p|password)\s{1,4})(?!\[redacted\])[^\s]{1,1024}"),
     rf"\1{REDACTED}"),
    (re.compile(r"((?:authorization|cookie)[\\\"']{0,4}+\s{0,8}+[:=]\s{0,8}+[\\\"']{0,4}+)(?!\[redacted\])"
                r"[^\"'\\\r\n]{1,8192}", re.IGNORECASE), rf"\1{REDACTED}"),
)


def visible(text: str) -> str:
    """The text without escape sequences of terminals and without characters that are not shown, save white space."""
    return _UNSEEN.sub("", _ESCAPES.sub("", text))


def scrubbed(text: str) -> str:
    """The visible text with REDACTED in place of what looks like a credential."""
    text = visible(text)
    if len(text) < _SHORTEST:
        return text
    for pattern, replacement in _REPLACED:
        text = pattern.sub(replacement, text)
    lower = text.lower()
    for pattern, replacement in _NAMED if any(hint in lower for hint in _HINTS) else ():
        text = pattern.sub(replacement, text)
    return text


class LineScrubber:
    """Scrubs the lines of one text in their order: a private key takes many lines."""

    def __init__(self) -> None:
        self._lines_of_key = 0  # lines that may still belong to a private key

    def scrub(self, line: str) -> str:
        """The line with REDACTED in place of credentials, and of what belongs to a private key that began before."""
        line = visible(line)
        if not self._lines_of_key:
            return self._outside(line)
        end = _KEY_END.search(line)
        if end is None:
            self._lines_of_key -= 1
            return REDACTED
        self._lines_of_key = 0
        return REDACTED + self._outside(line[end.end():])

    def _outside(self, line: str) -> str:
        begins = [found.end() for found in _KEY_BEGINS.finditer(line)]
        if begins and _KEY_END.search(line, begins[-1]) is None:
            self._lines_of_key = _LONGEST_KEY
        return scrubbed(line)
