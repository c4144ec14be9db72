"""The validators of a response: what a server says of its content, to ask later whether the content has changed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, Self

from agentex_operator.core import guard

if TYPE_CHECKING:
    from collections.abc import Mapping

_ETAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{1,1000}"')
_SETTLED: Final = timedelta(seconds=2)  # the content may change once more within the second that Last-Modified names


@dataclass(frozen=True, slots=True)
class Validators:
    """An `ETag` or a `Last-Modified`, as the server wrote it; None where there is none that can be relied on."""

    etag: str | None = None
    last_modified: str | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Self:
        """The validators of a response with these headers (names in any case)."""
        etag, modified = headers.get("ETag", ""), headers.get("Last-Modified", "")
        if _ETAG.fullmatch(etag):
            return cls(etag=etag)
        return cls(last_modified=modified if guard.or_none(_is_settled, modified, headers.get("Date", "")) else None)

    @property
    def conditions(self) -> dict[str, str]:
        """The headers of a request that is answered 304 if the content is the same; none without a validator."""
        if self.etag is not None:
            return {"If-None-Match": self.etag}
        return {} if self.last_modified is None else {"If-Modified-Since": self.last_modified}


def _is_settled(modified: str, date: str) -> bool:
    """Whether content that changes after this response has another `Last-Modified`. Raises for what is no date."""
    return parsedate_to_datetime(date) - parsedate_to_datetime(modified) >= _SETTLED
