"""Removes what looks like a credential from text of the remote API, before the text is shown in a status or an Event.

A build log or a deployment event can hold a secret that the operator was never told. The status that shows the text can
be read by more people than the secret was meant for. Every pattern takes time in proportion to the text's length.
"""

from __future__ import annotations

import re
from typing import Final

REDACTED: Final = "[redacted]"
_SHORTEST: Final = 10            # characters of a text that can hold a name and a value worth hiding
_LONGEST_KEY: Final = 200        # lines of a private key without an end

_NAME: Final = (r"(?:passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key(?:[_-]?id)?|private[_-]?key|"
                r"account[_-]?key|credentials?|_auth)")
_VALUE: Final = (r"(?:\\?\"[^\"\r\n]{1,4096}\"|'[^'\r\n]{1,4096}'|"
                 r"(?!\[redacted\])[^\s\"'\\,;&|<>(){}]{1,4096})")
_KEY_END: Final = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BEGINS: Final = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY: Final = re.compile(rf"{_KEY_BEGINS.pattern}.*?(?:{_KEY_END.pattern}|\Z)", re.DOTALL)
_TOKENS: Final = re.compile("|".join((
    r"gh[opsur]_[A-Za-z0-9]{16,}", r"github_pat_[A-Za-z0-9_]{16,}", r"gl[a-z]{2,5}-[A-Za-z0-9_.-]{16,}",
    r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{16,}", r"xox[a-z]-[A-Za-z0-9-]{8,}", r"xapp-[A-Za-z0-9-]{8,}",
    r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{12,}", r"AIza[A-Za-z0-9_-]{30,}", r"npm_[A-Za-z0-9]{30,}",
    r"pypi-[A-Za-z0-9_-]{16,}", r"hf_[A-Za-z0-9]{20,}", r"dckr_pat_[A-Za-z0-9_-]{16,}", r"hvs\.[A-Za-z0-9_-]{16,}",
    r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_=+/.-]{16,}",  # a JWT, or JSON in base64 such as registry credentials
)))
_REPLACED: Final = (
    (_KEY, REDACTED),
    (re.compile(r"(?<=://)[^\s/?#\"'<>]{1,1024}@"), f"{REDACTED}@"),
    (re.compile(r"\b(bearer|basic)(\s{1,8})[A-Za-z0-9._~+/=-]{16,}", re.IGNORECASE), rf"\1\2{REDACTED}"),
    (_TOKENS, REDACTED),
    (re.compile(rf"({_NAME}[\\\"']{{0,4}}+\s{{0,8}}+(?:=>|:=|[=:])\s{{0,8}}+){_VALUE}", re.IGNORECASE),
     rf"\1{REDACTED}"),
    (re.compile(rf"(--(?:[a-z]{{1,16}}-){{0,2}}{_NAME}\s{{1,4}})(?!-){_VALUE}", re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(r"(authorization[\\\"']{0,4}+\s{0,8}+[:=]\s{0,8}+[\\\"']{0,4}+)(?!\[redacted\])[^\"'\\\r\n]{1,8192}",
                re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(r"((?<![A-Za-z])sig(?:nature)?=)[A-Za-z0-9%+/_=-]{8,}", re.IGNORECASE), rf"\1{REDACTED}"),
)


def scrubbed(text: str) -> str:
    """The text with REDACTED in place of what looks like a credential."""
    if len(text) < _SHORTEST:
        return text
    for pattern, replacement in _REPLACED:
        text = pattern.sub(replacement, text)
    return text


class LineScrubber:
    """Scrubs the lines of one text in their order: a private key takes many lines."""

    def __init__(self) -> None:
        self._lines_of_key = 0  # lines that may still belong to a private key

    def scrub(self, line: str) -> str:
        """The line with REDACTED in place of credentials, and of what belongs to a private key that began before."""
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
