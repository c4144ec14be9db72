"""From an HTTP answer to an error of core/errors, or to none (agentex-api.md §1.1, reliability.md §2.0 P5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime

from agentex_operator.agentex.wire import one_line, parsed
from agentex_operator.core import guard, sentences
from agentex_operator.core.errors import ExternalError, Rejected, Throttled, Unauthorized, Unavailable
from agentex_operator.core.scrubbing import scrubbed

LONGEST_RETRY_AFTER = timedelta(minutes=15)
_MEDIA_TYPE = re.compile(r"[A-Za-z]{1,20}/[A-Za-z0-9.+-]{1,60}(?![^;,\s])")
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole answer, not redacted yet. `headers`: by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def retry_after(self) -> timedelta | None:
        """Retry-After, in seconds or as a date by the server's clock; None for 0, a past date and other text."""
        text = self.headers.get("retry-after", "").strip()
        delay = timedelta(seconds=float(text)) if _SECONDS.fullmatch(text) else guard.or_none(self._until, text)
        return min(delay, LONGEST_RETRY_AFTER) if delay and delay > timedelta() else None

    def _until(self, date: str) -> timedelta:
        return parsedate_to_datetime(date) - parsedate_to_datetime(self.headers["date"])


def refusal(answer: HttpAnswer, subject: str, *, creates: bool) -> ExternalError | None:
    """The error for an answer; None for 2xx. `subject`: the call, in words for people.

    The 409 of a create is ambiguous: the operator's own earlier POST may have taken the name. A 404 that is not JSON
    comes from a proxy and says nothing about the object. A redirect is never followed: the API key would be sent along.
    """
    if answer.ok:
        return None
    said = sentences.sentence(f"{subject} was answered with {answer.status}: {said_in(answer)}")
    if answer.status in (401, 403):
        return Unauthorized(f"{said} Check the API key, and what it may do in the account.", status=answer.status)
    if answer.status == 429:
        return Throttled(said, retry_after=answer.retry_after)
    if 300 <= answer.status < 400:
        return Unavailable(_redirected(answer, subject), status=answer.status)
    return _refused(answer, said, creates=creates)


def _refused(answer: HttpAnswer, said: str, *, creates: bool) -> ExternalError:
    definite = 400 <= answer.status < 500 and answer.status != 408
    if not definite or (answer.status == 409 and creates) or (answer.status == 404 and not speaks_agentex(answer)):
        return Unavailable(said, status=answer.status)
    return Rejected(said, status=answer.status)


def speaks_agentex(answer: HttpAnswer) -> bool:
    """Whether the body can be from the service itself: a JSON object, or empty."""
    return not answer.body.strip() or isinstance(parsed(answer.body), dict)


def said_in(answer: HttpAnswer) -> str:
    """The text of the API's own JSON `detail` in an error's body: at most 500 characters, without credentials.

    Any other body is not shown, because an endpoint can be another server than the API: then the content type.
    """
    value = parsed(answer.body)
    detail = _detail(value.get("detail")) if isinstance(value, Mapping) else None
    if detail:
        return one_line(scrubbed(detail))
    return f"no detail ({content_type(answer)})"


def content_type(answer: HttpAnswer) -> str:
    """The media type of the body, without parameters: an endpoint that is another server may say anything there."""
    found = _MEDIA_TYPE.match(answer.headers.get("content-type", ""))
    return found[0].lower() if found else "no content type"


def _detail(detail: object) -> str | None:
    """The text of `detail`, or of FastAPI's list of {loc, msg}: `body.image_name: Field required; ...`."""
    if isinstance(detail, list):
        return "; ".join(_problem(item) for item in detail[:10])
    return detail if isinstance(detail, str) else None


def _problem(item: object) -> str:
    if not isinstance(item, Mapping):
        return str(item)
    place = item.get("loc")
    where = ".".join(map(str, place)) if isinstance(place, list) else ""
    return f"{where}: {item.get('msg', '')}" if where else str(item.get("msg", ""))


def _redirected(answer: HttpAnswer, subject: str) -> str:
    target = one_line(scrubbed(answer.headers.get("location", "nowhere")), 200)
    return (f"{subject} was answered with a redirect ({answer.status}) to {target}, which is not followed because the "
            "API key would go along. Create the account anew with the address that answers itself.")
