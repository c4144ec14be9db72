"""The scalar types of the API's fields: durations, timestamps, texts of bounded length, and counts."""

import dataclasses
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from agentex_operator.api.schema import Rule, rule

DURATION_PATTERN: Final = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_UNITS: Final = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours"}


def duration(text: str) -> timedelta:
    """The time span of a text like `1h30m`, `90s` or `1.5h`. Raises ValueError for any other text."""
    if not re.fullmatch(DURATION_PATTERN, text):
        raise ValueError(f"{text!r} is not a duration like 30m, 90s or 1h30m")
    try:
        return sum((timedelta(**{_UNITS[unit]: float(count)}) for count, unit in _PART.findall(text)), timedelta())
    except OverflowError as error:
        raise ValueError(f"{text!r} is too long a duration") from error


@dataclasses.dataclass(frozen=True)
class Between:
    """The bounds of a duration, both included; the API server checks the same bounds."""

    shortest: str
    longest: str

    def check(self, text: str) -> str:
        """The text, unchanged. Raises ValueError if its duration is out of bounds."""
        if not duration(self.shortest) <= duration(text) <= duration(self.longest):
            raise ValueError(self.message)
        return text

    @property
    def message(self) -> str:
        """The message for a duration that is out of bounds."""
        return f"must be a duration between {self.shortest} and {self.longest}"

    @property
    def rules(self) -> list[Rule]:
        """The same check as a CEL rule, for the API server."""
        bounds = f"duration(self) >= duration('{self.shortest}') && duration(self) <= duration('{self.longest}')"
        return [rule(bounds, self.message)]

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        return _checked_by(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Callable[[Any], Any]) -> Any:
        return {**handler(schema), "x-kubernetes-validations": self.rules}


@dataclasses.dataclass(frozen=True)
class Matches:
    """A pattern for a whole text, and the message for another text; the API server checks the same pattern.

    The pattern is in the syntax that Python, RE2 and JSON schemas share, without backslashes and single quotes.
    """

    pattern: str
    message: str

    def check(self, text: str) -> str:
        """The text, unchanged. Raises ValueError with the message if it does not match."""
        if not re.fullmatch(self.pattern, text):
            raise ValueError(self.message)
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        return _checked_by(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Callable[[Any], Any]) -> Any:
        rules = [rule(f"self.matches('{self.pattern}')", self.message)]
        return {**handler(schema), "pattern": self.pattern, "x-kubernetes-validations": rules}


def _checked_by(check: Callable[[str], str], schema: Any) -> Any:
    """The core schema of a text with a check after it."""
    return {"type": "function-after", "function": {"type": "no-info", "function": check}, "schema": schema}


EARLIEST: Final = "0001-01-01T00:00:00Z"
LATEST: Final = "9999-12-31T23:59:59Z"
Duration = Annotated[str, Field(pattern=DURATION_PATTERN, min_length=2, max_length=32)]


def _as_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # pydantic takes a ValueError only for a finding
        raise ValueError(f"must be a time between {EARLIEST} and {LATEST}") from None


def timestamp(moment: datetime) -> str:
    """The moment in RFC 3339, UTC, with microseconds only where there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


# CEL compares moments that UTC cannot express too, so the API server refuses what `_as_utc` refuses.
IN_UTC: Final = rule(f"timestamp('{EARLIEST}') <= self && self <= timestamp('{LATEST.removesuffix('Z')}.999999999Z')",
                     f"must be a time between {EARLIEST} and {LATEST}")
Timestamp = Annotated[AwareDatetime, AfterValidator(_as_utc), PlainSerializer(timestamp, return_type=str)]


def _first(length: int) -> BeforeValidator:
    return BeforeValidator(lambda text: _encodable(text[:length]) if isinstance(text, str) else text)


def _last(length: int) -> BeforeValidator:
    return BeforeValidator(lambda text: _encodable(text[-length:]) if isinstance(text, str) else text)


def _encodable(text: str) -> str:
    """The text with a question mark for each half of a surrogate pair: JSON can express one, UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()


# Text from the remote API is cut to these lengths, so that the API server never refuses a status because of it.
Word = Annotated[str, _first(256), Field(max_length=256)]
Sentence = Annotated[str, _first(512), Field(max_length=512)]
Line = Annotated[str, _first(1024), Field(max_length=1024)]
Url = Annotated[str, _first(2048), Field(max_length=2048)]
Message = Annotated[str, _first(4096), Field(max_length=4096)]
Tail = Annotated[str, _last(4096), Field(max_length=4096)]
RemoteID = Annotated[str, Field(min_length=1, max_length=256)]
GivenID = Annotated[str, Field(  # an id that a user writes; it becomes a part of a path, so it must not be dots only
    min_length=1, max_length=128, pattern="^[A-Za-z0-9_.-]*[A-Za-z0-9_-][A-Za-z0-9_.-]*$")]
Digest = Annotated[str, Field(max_length=128)]
ObjectName = Annotated[str, Field(min_length=1, max_length=253,
                                  pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")]
RelativePath = Annotated[str, Field(min_length=1, max_length=1024, json_schema_extra={"x-kubernetes-validations": [
    rule("!self.startsWith('/') && !self.split('/').exists(part, part == '..')",
         "must be a relative path without '..'")]})]
Count = Annotated[int, Field(ge=0, json_schema_extra={"format": "int32"})]
Generation = Annotated[int, Field(ge=-1, json_schema_extra={"format": "int64"})]
OnlyTrue = Annotated[Literal[True], WithJsonSchema({  # an enum of one value has a message that nobody understands
    "type": "boolean", "x-kubernetes-validations": [
        rule("self", "true is the only value; leave the field out instead of setting false")]})]
AccountKind = Literal["AgentexAccount", "ClusterAgentexAccount"]
