"""The JSON of the Agentex API, read tolerantly into records (agentex-api.md §1.2, §1.5).

Unknown fields are ignored, unknown state words are UNKNOWN, times without a zone are UTC, texts are bounded in length,
and an object whose id cannot be put into a URL is not read at all: None.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Generic

from agentex_operator.core import guard
from agentex_operator.core.manifest import agent_named_in
from agentex_operator.core.ownership import token_in
from agentex_operator.core.remote import (
    BuildRecord,
    DeployEvent,
    DeploymentRecord,
    Record,
    build_state,
    deployment_state,
)
from agentex_operator.core.scrubbing import scrubbed

LATEST = datetime(9000, 1, 1, tzinfo=UTC)  # in place of any later time, so that a sum of times stays in range
UNDATED = datetime(1970, 1, 1, tzinfo=UTC)  # created_at of a record without a date; proves nothing about reach
EVENTS_KEPT = 20
LONGEST_WORD = 128
LONGEST_TEXT = 500
LONGEST_FIELD = 2048

_ID = re.compile(r"(?!\.+\Z)[A-Za-z0-9_.-]{1,128}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EchoedTexts:
    """The texts that a deployment was created from, verbatim as the server echoes them."""

    manifest: str
    environments: str


@dataclass(frozen=True, slots=True)
class Page(Generic[Record]):
    """One page of a list, in the server's order.

    `length`: the number of its items, unreadable ones included. `last_id`: the cursor of the next page; None where no
    item has an id. `texts`: by id, of the deployments whose manifest has no ownership token.
    """

    records: tuple[Record, ...]
    has_more: bool
    last_id: str | None
    length: int
    texts: Mapping[str, EchoedTexts] = field(default_factory=dict)


def usable_id(value: object) -> str | None:
    """The id, if it is 1 to 128 characters of A-Z a-z 0-9 _ . - and not dots only, else None (reliability.md §2d)."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def parsed(body: bytes) -> object | None:
    """The JSON value of a body; None for a body that is not JSON, and for `null`."""
    return guard.or_none(json.loads, body)


def build_record(value: object) -> BuildRecord | None:
    """The build, by today's field names or those before 0.1.0 (`build_id`, `status`); None without a usable id."""
    if not isinstance(value, Mapping) or (id_ := usable_id(value.get("id") or value.get("build_id"))) is None:
        return None
    word = value.get("build_status", value.get("status"))
    return BuildRecord(
        id=id_,
        state=build_state(word),
        raw_status=_word(word),
        created_at=_time(value.get("created_at")) or UNDATED,
        agent_name=_text(value.get("agent_name")) or "",
        agent_id=usable_id(value.get("agent_id")),
        image_name=_text(value.get("image_name")) or "",
        image_tag=_text(value.get("image_tag")) or "",
        image_url=_text(value.get("image_url")),
        source_ref=_text(value.get("source_ref")),
        working_tree_hash=_text(value.get("working_tree_hash")),
        started_at=_time(value.get("build_start_time")),
        ended_at=_time(value.get("build_end_time")),
    )


def deployment_record(value: object) -> DeploymentRecord | None:
    """The deployment, with the token of its manifest; the manifest is not kept. None without a usable id."""
    if not isinstance(value, Mapping) or (id_ := usable_id(value.get("id"))) is None:
        return None
    return DeploymentRecord(
        id=id_,
        state=deployment_state(value.get("status")),
        raw_status=_word(value.get("status")),
        created_at=_time(value.get("created_at")) or UNDATED,
        namespace=_text(value.get("namespace")) or "",
        build_id=usable_id(value.get("build_id")),
        token=token_in(_texts(value).manifest),
        helm_release_name=_text(value.get("helm_release_name")),
        preview_label=_text(value.get("preview_label")),
        expires_at=_time(value.get("expires_at")),
        events=_events(value.get("deploy_events")),
    )


def deployment_with_agent(value: object) -> DeploymentRecord | None:
    """The deployment with the name of its agent, which takes reading its manifest; None without a usable id."""
    record = deployment_record(value)
    return None if record is None else replace(record, agent_name=agent_named_in(texts_of(value).manifest))


def build_page(body: bytes) -> Page[BuildRecord] | None:
    """The page of builds; None for a body that is no such page."""
    return _page(body, build_record, _without_texts)


def deployment_page(body: bytes) -> Page[DeploymentRecord] | None:
    """The page of deployments, with the texts of those without a token; None for a body that is no such page."""
    return _page(body, deployment_record, _has_no_token)


def texts_of(value: object) -> EchoedTexts:
    """The manifest and environments of a deployment as the server echoes them; empty where it does not."""
    return _texts(value) if isinstance(value, Mapping) else EchoedTexts("", "")


def one_line(text: str, limit: int = LONGEST_TEXT) -> str:
    """The text on one line, at most `limit` characters, with a question mark for each unprintable one."""
    whole = text.encode("utf-8", "replace").decode()
    line = _CONTROL.sub(" ", whole).strip()[:limit]
    return "".join(one if one.isprintable() else "?" for one in line)


def _page(body: bytes, read: Callable[[object], Record | None], keeps_texts: Callable[[Record], bool]
          ) -> Page[Record] | None:
    value = parsed(body)
    items = value.get("items") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(items, list):
        return None
    pairs = [(record, item) for item in items if (record := read(item)) is not None]
    return Page(
        records=tuple(record for record, _ in pairs),
        has_more=value.get("has_more") is not False,
        last_id=pairs[-1][0].id if pairs else None,
        length=len(items),
        texts={record.id: texts_of(item) for record, item in pairs if keeps_texts(record)},
    )


def _without_texts(_build: BuildRecord) -> bool:
    return False


def _has_no_token(deployment: DeploymentRecord) -> bool:
    return deployment.token is None


def _texts(value: Fields) -> EchoedTexts:
    manifest, environments = value.get("manifest_file"), value.get("environment_config")
    return EchoedTexts(manifest if isinstance(manifest, str) else "",
                       environments if isinstance(environments, str) else "")


def _events(value: object) -> tuple[DeployEvent, ...]:
    found = [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
    return tuple(
        DeployEvent(_word(item.get("type")), _word(item.get("reason")), _said(item), _time(item.get("timestamp")))
        for item in found[-EVENTS_KEPT:]
    )


def _said(event: Fields) -> str:
    message = event.get("message")
    return one_line(scrubbed(message)) if isinstance(message, str) else ""


def _word(value: object) -> str:
    """A short word for people, such as a state, on one line; "" where the server gives none."""
    return one_line(scrubbed(str(value)), LONGEST_WORD) if isinstance(value, str | int | float) else ""


def _text(value: object) -> str | None:
    return one_line(value, LONGEST_FIELD) if isinstance(value, str) and value else None


def _time(value: object) -> datetime | None:
    """The time, aware and in UTC, at most LATEST; None for no time, and for one before 1970, as Go's zero time is."""
    time = guard.or_none(_read_time, value) if isinstance(value, str) else None
    return min(time, LATEST) if time is not None and time >= UNDATED else None


def _read_time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
