"""POST /v5/builds: what was asked for, read and checked (agentex-api.md section 1.2)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from agentex_simulator.archives import ArchiveFacts
from agentex_simulator.errors import broken_rule, invalid, missing
from agentex_simulator.records import Provenance

PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7")
BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
MAX_HASH = 64


@dataclass(frozen=True)
class BuildOrder:
    """A build request whose own fields are in order; whether its agent exists is for the commit to see."""

    image_name: str
    image_tag: str
    agent_name: str | None
    agent_id: str | None
    image_url: str | None
    archive: ArchiveFacts | None
    build_args: str | None
    platform: str | None
    provenance: Provenance


def build_order(fields: Mapping[str, str], archive: ArchiveFacts | None) -> BuildOrder:
    """Check the form; RejectedError 422 for a field, 400 for a rule between fields. Empty text counts as not sent."""
    sent = {name: text for name, text in fields.items() if text}
    if "image_name" not in sent:
        raise missing("image_name")
    _check_agent(sent)
    _check_source(sent, archive)
    return BuildOrder(
        image_name=sent["image_name"],
        image_tag=sent.get("image_tag", "latest"),
        agent_name=sent.get("agent_name"),
        agent_id=sent.get("agent_id"),
        image_url=sent.get("image_url"),
        archive=archive,
        build_args=_build_args(sent.get("build_args")),
        platform=_platform(sent.get("platform")),
        provenance=_provenance(sent),
    )


def _check_agent(sent: Mapping[str, str]) -> None:
    if ("agent_name" in sent) == ("agent_id" in sent):
        raise broken_rule("exactly one of agent_name and agent_id must be given")


def _check_source(sent: Mapping[str, str], archive: ArchiveFacts | None) -> None:
    if (archive is not None) == ("image_url" in sent):
        raise broken_rule("exactly one of context_archive and image_url must be given")
    if archive is None and ("build_args" in sent or "platform" in sent):
        raise broken_rule("build_args and platform apply only to archive builds")
    if archive is None and ":" not in sent["image_url"].rsplit("/", 1)[-1]:
        raise broken_rule("image_url must name a tagged image")


def _build_args(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise invalid("body", "build_args", f"Invalid JSON: {error}", "json_invalid") from error
    if not isinstance(value, dict):
        raise invalid("body", "build_args", "build_args must be a JSON object", "dict_type")
    return text


def _platform(text: str | None) -> str | None:
    if text is not None and text not in PLATFORMS:
        raise invalid("body", "platform", f"Input should be one of {', '.join(PLATFORMS)}", "literal_error")
    return text


def _provenance(sent: Mapping[str, str]) -> Provenance:
    tree_hash = sent.get("working_tree_hash")
    if tree_hash is not None and len(tree_hash) > MAX_HASH:
        raise invalid("body", "working_tree_hash", f"At most {MAX_HASH} characters", "string_too_long")
    return Provenance(
        source_commit=sent.get("source_commit"),
        source_dirty=_boolean(sent.get("source_dirty")),
        source_ref=sent.get("source_ref"),
        source_repo=sent.get("source_repo"),
        source_subpath=sent.get("source_subpath"),
        working_tree_hash=tree_hash,
    )


def _boolean(text: str | None) -> bool | None:
    if text is None:
        return None
    if text.lower() not in BOOLEANS:
        raise invalid("body", "source_dirty", "Input should be a valid boolean", "bool_parsing")
    return BOOLEANS[text.lower()]
