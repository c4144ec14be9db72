"""The API key, wrapped so that it does not appear in a log or a message by accident."""

from __future__ import annotations

from agentex_operator.core import reasons
from agentex_operator.core.errors import NotReady
from agentex_operator.logs import Redactor


class ApiKey:
    """An API key. Its repr and str do not contain it; `reveal` returns it, for the request header only."""

    def __init__(self, text: str) -> None:
        """Drop surrounding white space (Secrets made with `echo` end in a newline).

        Raises NotReady for an empty key and for a key that no HTTP header can carry; the message does not contain it.
        """
        self._text = text.strip()
        if not self.is_usable(text):
            raise NotReady(reasons.SECRET_INVALID, "The API key is empty or has characters that no header carries.")
        self._redactor = Redactor()
        self._redactor.add(self._text)

    @staticmethod
    def is_usable(text: str) -> bool:
        """Whether a header can carry the text without its surrounding white space."""
        key = text.strip()
        return bool(key) and key.isascii() and key.isprintable()

    def reveal(self) -> str:
        """The key itself."""
        return self._text

    def redact(self, text: str) -> str:
        """The text without this key, in any encoding that the log redacts."""
        return self._redactor.clean(text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ApiKey) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "ApiKey([redacted])"
