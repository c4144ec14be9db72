"""Logs: one line per record on stderr, as JSON or text, without secrets.

`msg` is constant text; values that vary are fields. Secrets are redacted when a line is written, not when it is logged.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO
from urllib.parse import quote, quote_plus

REDACTED = "[redacted]"
SHORTEST_SECRET = 4  # characters; redacting shorter ones would hit ordinary words
_FEW = 64  # beginnings of secrets: so many are looked for one by one, faster than at each place of the text

_bound: ContextVar[Mapping[str, Any]] = ContextVar("bound log fields", default={})  # noqa: B039 - never mutated
_LIBRARY_LEVELS = {
    "kopf.objects": logging.WARNING,  # logs "Handler succeeded" for every event
    "kopf.activities": logging.WARNING,  # logs "Activity 'login' succeeded", which kopf says in other words too
    "kopf": logging.INFO,
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "aiohttp.access": logging.WARNING,
    "asyncio": logging.WARNING,
}


class Log:
    """A logger that takes fields as keywords: `log.info("plan", reason=..., requeue_after=...)`."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, msg: str, **fields: object) -> None:
        """Log a detail for debugging; not written by default."""
        self._log(logging.DEBUG, msg, fields)

    def info(self, msg: str, **fields: object) -> None:
        """Log a normal event."""
        self._log(logging.INFO, msg, fields)

    def warning(self, msg: str, **fields: object) -> None:
        """Log a condition that may need a look."""
        self._log(logging.WARNING, msg, fields)

    def error(self, msg: str, **fields: object) -> None:
        """Log a failure that needs a look."""
        self._log(logging.ERROR, msg, fields)

    def exception(self, msg: str, **fields: object) -> None:
        """Log an error with the trace of the exception that is being handled."""
        self._logger.error(msg, exc_info=True, extra={"fields": fields})

    def _log(self, level: int, msg: str, fields: Mapping[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, msg, extra={"fields": fields})


def logger(name: str) -> Log:
    """The logger of a module: `log = logs.logger(__name__)`."""
    return Log(name)


@contextlib.contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Add these fields to every record logged inside, also by libraries, in this task and the tasks that it starts."""
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


class Redactor:
    """Redacts the secrets of this process in text, also where they are base64- or URL-encoded.

    The forms of a secret are found by their first SHORTEST_SECRET characters: an expression of all of them would be
    compiled anew for each secret, and searched for in each text, which takes seconds where there are hundreds.
    """

    def __init__(self) -> None:
        self._forms: dict[str, list[str]] = {}  # by their first characters, the longest one first

    def add(self, secret: str | bytes) -> None:
        """Redact this value from now on; values shorter than SHORTEST_SECRET are ignored."""
        text = secret.decode("utf-8", "replace") if isinstance(secret, bytes) else secret
        for form in _encodings_of(text):
            known = self._forms.setdefault(form[:SHORTEST_SECRET], []) if len(form) >= SHORTEST_SECRET else [form]
            if form not in known:
                known.append(form)
                known.sort(key=len, reverse=True)

    def clean(self, text: str) -> str:
        """The text with every known secret replaced by REDACTED."""
        if len(self._forms) <= _FEW and not any(start in text for start in self._forms):
            return text
        kept, start, at = list[str](), 0, 0
        while at <= len(text) - SHORTEST_SECRET:
            found = self._found_at(text, at)
            if found:
                kept += text[start:at], REDACTED
                start = at + len(found)
            at += len(found) or 1
        return "".join((*kept, text[start:]))

    def _found_at(self, text: str, at: int) -> str:
        """The longest form of a secret that begins at this place; "" if none does."""
        forms = self._forms.get(text[at:at + SHORTEST_SECRET], ())
        return next((form for form in forms if text.startswith(form, at)), "")

    def clean_all(self, value: Any) -> Any:
        """The value as JSON types, with every string in it cleaned."""
        if isinstance(value, Mapping):
            return {self.clean(str(key)): self.clean_all(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.clean_all(item) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.clean(str(value))


def configure(*, form: str, level: str, redactor: Redactor, stream: TextIO | None = None) -> None:
    """Make the root logger write redacted lines, as `json` or `text`; the loggers of libraries use it too."""
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(JsonLines(redactor) if form == "json" else TextLines(redactor))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in _LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(max(least, root.level))
    logging.captureWarnings(True)


class _Handler(logging.StreamHandler[TextIO]):
    """Logs the place of a record that cannot be written; logging itself would print its arguments, with secrets."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Write a record about the failure; logging calls this while the exception is handled."""
        error = type(sys.exc_info()[1]).__name__
        fields = {"error": error, "where": f"{record.filename}:{record.lineno}"}
        failure = {"name": record.name, "levelno": logging.ERROR, "levelname": "ERROR", "fields": fields,
                   "msg": "a line of the log could not be written: this is a bug in the operator"}
        with contextlib.suppress(Exception):  # the stream itself may be what fails
            self.stream.write(self.format(logging.makeLogRecord(failure)) + self.terminator)
            self.flush()


class JsonLines(logging.Formatter):
    """One JSON object per record, with the key names of controller-runtime."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, without its newline."""
        return json.dumps(self._redactor.clean_all(_as_fields(record)), ensure_ascii=False, separators=(",", ":"))


class TextLines(logging.Formatter):
    """One readable line per record, fields behind the text; control characters are escaped."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, without its newline; a trace follows on lines of its own."""
        fields = self._redactor.clean_all(_as_fields(record))
        trace = fields.pop("stacktrace", None)
        head = f"{fields.pop('ts')} {fields.pop('level').upper():7} {_one_line(fields.pop('msg'))}"
        tail = "".join(f" {key}={json.dumps(value, ensure_ascii=True)}" for key, value in fields.items())
        return head + tail + (f"\n{trace}" if trace else "")


def _as_fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "ts": _timestamp(record.created),
        "level": record.levelname.lower(),
        "logger": record.name,
        "msg": record.getMessage(),
        **_bound.get(),
        **_kopf_fields(record),
        **getattr(record, "fields", {}),
        **_error_fields(record),
    }
    return {key: value for key, value in fields.items() if value is not None}


def _error_fields(record: logging.LogRecord) -> dict[str, Any]:
    if not record.exc_info or record.exc_info[1] is None:
        return {}
    return {"error": str(record.exc_info[1]), "stacktrace": logging.Formatter().formatException(record.exc_info)}


def _kopf_fields(record: logging.LogRecord) -> Mapping[str, Any]:
    """The namespace, name and uid of the object that a record of kopf.objects is about."""
    reference = getattr(record, "k8s_ref", None) or {}
    return {key: reference.get(key) for key in ("namespace", "name", "uid") if reference.get(key)}


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _one_line(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _encodings_of(secret: str) -> set[str]:
    """The forms in which a secret may appear: plain, in a URL, in a header or a Secret, inside a longer base64 text."""
    raw = secret.encode("utf-8", "surrogatepass")
    plain = {secret, secret.strip(), quote(secret), quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1]}
    return plain | _base64_encodings(raw) if secret.strip() else set()


def _base64_encodings(raw: bytes) -> set[str]:
    return {code.decode().rstrip("=") for code in (base64.b64encode(raw), base64.urlsafe_b64encode(raw))} | (
        {core for offset in range(3) for core in _base64_cores(raw, offset)} if len(raw) >= 8 else set()
    )


def _base64_cores(raw: bytes, offset: int) -> set[str]:
    """The characters that only depend on the secret when it starts `offset` bytes into a group of three."""
    skipped = (0, 2, 3)[offset]
    kept = (offset + len(raw)) * 8 // 6
    padded = b"\0" * offset + raw
    return {encode(padded).decode()[skipped:kept] for encode in (base64.b64encode, base64.urlsafe_b64encode)}
