"""The two YAML texts of a deployment, checked as the server would (agentex-api.md section 4).

The server's own parser is not public. Chosen: a manifest is a map with the maps `build` and `agent` (section 4: both
required) and a string agent.name; an environments file has schema_version v1 and at least one environment.
"""

from dataclasses import dataclass
from typing import Any

import yaml

from agentex_simulator.errors import broken_rule

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_DEPTH = 100
TOO_BAD = (yaml.YAMLError, RecursionError, ValueError)


@dataclass(frozen=True)
class Manifest:
    """What the server needs of manifest.yaml; `description` is where a test asks for an unhealthy rollout."""

    agent_name: str
    description: str
    secret_names: tuple[str, ...]


@dataclass(frozen=True)
class Environment:
    """The chosen entry of environments.yaml; `agent_name` only when it carries one under helm_overrides."""

    namespace: str | None
    agent_name: str | None


def read_manifest(text: str) -> Manifest:
    """Parse and check; RejectedError 400 with a sentence."""
    document = _mapping(text, "manifest_file")
    agent = document.get("agent")
    if not isinstance(agent, dict) or not isinstance(document.get("build"), dict):
        raise broken_rule("manifest_file: build and agent are required")
    if not isinstance(agent.get("name"), str) or not agent["name"]:
        raise broken_rule("manifest_file: agent.name is required")
    return Manifest(agent["name"], _text_at(agent, "description") or "", _secret_names(agent.get("credentials")))


def read_environment(text: str, wanted: str | None) -> Environment:
    """Parse, check and pick: the `wanted` key or `environment:` word, else the first (section 4: unknown)."""
    document = _mapping(text, "environment_config")
    entries = document.get("environments")
    if document.get("schema_version") != "v1":
        raise broken_rule("environment_config: schema_version must be v1")
    if not isinstance(entries, dict) or not entries or not all(isinstance(e, dict) for e in entries.values()):
        raise broken_rule("environment_config: environments must be a map with at least one environment")
    entry = _pick(entries, wanted)
    return Environment(_namespace(entry), _text_at(entry, "helm_overrides", "agent", "name"))


def _mapping(text: str, field: str) -> dict[Any, Any]:
    try:
        _refuse_depth(text, field)
        document = yaml.load(text, Loader=Loader)  # noqa: S506 - the safe loader, in C where there is one
    except TOO_BAD as error:
        raise broken_rule(f"{field} is not valid YAML: {str(error)[:300]}") from error
    if not isinstance(document, dict):
        raise broken_rule(f"{field} is not a YAML map")
    return document


def _refuse_depth(text: str, field: str) -> None:
    """The C loader composes by recursion and would take the whole process down on deep nesting."""
    depth = 0
    for event in yaml.parse(text, Loader=Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise broken_rule(f"{field} is not valid YAML: nested more than {MAX_DEPTH} levels")


def _secret_names(credentials: Any) -> tuple[str, ...]:
    if not isinstance(credentials, list):
        return ()
    entries = [entry for entry in credentials if isinstance(entry, dict)]
    return tuple(entry["secret_name"] for entry in entries if isinstance(entry.get("secret_name"), str))


def _pick(entries: dict[Any, Any], wanted: str | None) -> dict[Any, Any]:
    for name, entry in entries.items():
        if wanted in (None, name, entry.get("environment")):
            return dict(entry)
    raise broken_rule(f"environment_config: no environment {wanted}")


def _namespace(entry: dict[Any, Any]) -> str | None:
    namespace = _text_at(entry, "kubernetes", "namespace")
    return namespace and namespace.lower()


def _text_at(value: Any, *path: str) -> str | None:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None
