"""POST /v5/agentex/deployments: what was asked for, read and checked (agentex-api.md sections 1.5 and 6)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agentex_simulator.errors import broken_rule, invalid, missing

MAX_LABEL = 30


@dataclass(frozen=True)
class DeployOrder:
    """A deployment request whose own fields are in order; builds, YAML and secrets are for the commit to check."""

    manifest_file: str
    environment_config: str
    build_id: str | None = None
    image_name: str | None = None
    image_tag: str | None = None
    preview: bool = False
    preview_label: str | None = None
    expires_at: datetime | None = None


def deploy_order(body: Any) -> DeployOrder:
    """Check the JSON; RejectedError 422 for a field, 400 for a rule between fields."""
    if not isinstance(body, dict):
        raise invalid("body", "body", "Input should be a valid dictionary", "model_attributes_type")
    preview = body.get("preview") or False
    if not isinstance(preview, bool):
        raise invalid("body", "preview", "Input should be a valid boolean", "bool_parsing")
    order = DeployOrder(
        manifest_file=_required(body, "manifest_file"),
        environment_config=_required(body, "environment_config"),
        build_id=_text(body, "build_id"),
        image_name=_text(body, "image_name"),
        image_tag=_text(body, "image_tag"),
        preview=preview,
        preview_label=_text(body, "preview_label"),
        expires_at=_moment(_text(body, "expires_at")),
    )
    _check_rules(order)
    return order


def sanitized(label: str | None) -> str | None:
    """Lower-case alphanumerics and hyphens, cut to 30 (section 6; beyond 30 is unknown: chosen to truncate because
    the docs say capped); None when nothing is left.
    """
    words = re.sub(r"[^a-z0-9]+", "-", (label or "").lower()).strip("-")
    return words[:MAX_LABEL].strip("-") or None


def _check_rules(order: DeployOrder) -> None:
    if order.build_id is None and (order.image_name is None or order.image_tag is None):
        raise broken_rule("build_id, or image_name and image_tag, must be given")
    if not order.preview and (order.preview_label is not None or order.expires_at is not None):
        raise broken_rule("preview_label and expires_at are only valid when preview is true")


def _required(body: Mapping[str, Any], name: str) -> str:
    text = _text(body, name)
    if text is None:
        raise missing(name)
    return text


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise invalid("body", name, "Input should be a valid string", "string_type")
    return value


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid("body", "expires_at", f"Input should be a valid datetime: {error}", "datetime_parsing") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
