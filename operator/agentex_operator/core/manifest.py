"""The vendor's two files, manifest.yaml and environments.yaml, by the vendor's rules (agentex-api.md §4).

The models mirror the vendor's own (scale-agentex-python `agentex/config`): unknown keys are ignored, types are as
lenient as there. What the server checks only after an upload is checked here before it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentex_operator.core import reasons, yaml_text
from agentex_operator.core.errors import InvalidInput

MANIFEST: Final = "manifest.yaml"
ENVIRONMENTS: Final = "environments.yaml"
LONGEST_LABEL: Final = 30
_CREDENTIAL: Final = ("env_var_name", "secret_name", "secret_key")
ModelT = TypeVar("ModelT", bound=BaseModel)
_NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9.])?|\.")


# --- the vendor's models --------------------------------------------------------------------------------------------


class _Vendor(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _BuildContext(_Vendor):
    root: str
    include_paths: list[str] = []
    dockerfile: str
    dockerignore: str | None = None


class _Build(_Vendor):
    context: _BuildContext


class _Workflow(_Vendor):
    name: str
    queue_name: str


class _Temporal(_Vendor):
    enabled: bool = False
    workflow: _Workflow | None = None
    workflows: Annotated[list[_Workflow], Field(min_length=1)] | None = None
    health_check_port: int | None = None


class _Agent(_Vendor):
    name: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    acp_type: Literal["sync", "async", "agentic"]
    agent_input_type: Literal["text", "json"] | None = None
    description: str
    env: dict[str, str] | None = None
    credentials: list[dict[str, Any]] | None = None
    temporal: _Temporal | None = None


class _LocalAgent(_Vendor):
    port: Annotated[int, Field(gt=0, lt=65536)]
    host_address: str = ""


class _LocalPaths(_Vendor):
    acp: str = ""
    worker: str | None = None


class _LocalDevelopment(_Vendor):
    agent: _LocalAgent
    paths: _LocalPaths | None = None


class _Image(_Vendor):
    repository: str
    tag: str = "latest"


class _PullSecret(_Vendor):
    name: str


class _Amounts(_Vendor):
    cpu: str = ""
    memory: str = ""


class _Resources(_Vendor):
    requests: _Amounts = _Amounts()
    limits: _Amounts = _Amounts()


class _Global(_Vendor):
    agent: dict[str, str] = {}
    replica_count: Annotated[int, Field(alias="replicaCount")] = 1
    resources: _Resources = _Resources()


class _Deployment(_Vendor):
    image: _Image
    image_pull_secrets: Annotated[list[_PullSecret] | None, Field(alias="imagePullSecrets")] = None
    everywhere: Annotated[_Global, Field(alias="global")] = _Global()


class _Manifest(_Vendor):
    build: _Build
    agent: _Agent
    local_development: _LocalDevelopment | None = None
    deployment: _Deployment | None = None


class _Auth(_Vendor):
    principal: dict[str, Any]


class _Kubernetes(_Vendor):
    namespace: str


class _Registry(_Vendor):
    url: str
    provider: Literal["gar"] | None = None
    chart_version: str | None = None


class _Environment(_Vendor):
    kubernetes: _Kubernetes | None = None
    environment: str | None = None
    auth: _Auth
    helm_repository_name: str = ""
    helm_repository_url: str = ""
    oci_registry: _Registry | None = None
    helm_overrides: dict[str, Any] = {}


# --- manifest.yaml --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the operator needs of a valid manifest.yaml. Paths are as written: not yet confined to anything."""

    agent_name: str
    root: str
    include_paths: tuple[str, ...]
    dockerfile: str
    dockerignore: str | None
    acp_type: str
    description: str
    secret_names: tuple[str, ...]

    @classmethod
    def parse(cls, text: str, expected_agent: str | None) -> Manifest:
        """Check a manifest by the vendor's rules. Raises InvalidInput(InvalidManifest) with a sentence and what to do.

        `expected_agent` is the agent of the resource; None where it is known by id only.
        """
        document = _mapping(text, reasons.INVALID_MANIFEST, MANIFEST)
        parsed = _validated(_Manifest, document, reasons.INVALID_MANIFEST, MANIFEST)
        _check_agent_name(parsed.agent.name, expected_agent)
        _check_temporal(parsed.agent.temporal)
        _check_credentials(parsed.agent.credentials or [])
        return _summary(parsed)


def _summary(parsed: _Manifest) -> Manifest:
    context, agent = parsed.build.context, parsed.agent
    secrets = dict.fromkeys(str(one["secret_name"]) for one in agent.credentials or [] if "secret_name" in one)
    return Manifest(
        agent_name=agent.name, root=context.root, include_paths=tuple(context.include_paths),
        dockerfile=context.dockerfile, dockerignore=context.dockerignore, acp_type=agent.acp_type,
        description=agent.description, secret_names=tuple(secrets),
    )


def _check_agent_name(name: str, expected: str | None) -> None:
    if name.endswith("\n"):
        raise _invalid_manifest("agent.name ends with a line break; remove it")
    if expected is not None and name != expected:
        raise _invalid_manifest(f"agent.name is {_short(name)}, but this resource is for the agent {_short(expected)}; "
                                "make them equal")


def _check_temporal(temporal: _Temporal | None) -> None:
    if temporal is not None and temporal.enabled and not (temporal.workflow or temporal.workflows):
        raise _invalid_manifest("agent.temporal is enabled without a workflow; list one under agent.temporal.workflows")


def _check_credentials(credentials: list[dict[str, Any]]) -> None:
    for position, one in enumerate(credentials):
        _check_credential(position, one)
    times = Counter(str(one["env_var_name"]) for one in credentials if "env_var_name" in one)
    name, most = next(iter(times.most_common(1)), ("", 0))
    if most > 1:
        raise _invalid_manifest(f"agent.credentials sets {_short(name)} more than once; give each env_var_name once")


def _check_credential(position: int, credential: dict[str, Any]) -> None:
    """The vendor's triple; a map with none of its keys is the older form, which may hold anything."""
    there = [key for key in _CREDENTIAL if key in credential]
    bad = [key for key in _CREDENTIAL if not isinstance(credential.get(key), str) or not credential[key]]
    if there and bad:
        raise _invalid_manifest(f"agent.credentials[{position}].{bad[0]} must be a text; set all of "
                                f"{', '.join(_CREDENTIAL)}")


def _invalid_manifest(what: str) -> InvalidInput:
    return InvalidInput(reasons.INVALID_MANIFEST, f"{MANIFEST}: {what}.")


# --- environments.yaml ----------------------------------------------------------------------------------------------


def render_environments(text: str, environment: str | None) -> str:
    """The text to send: reduced to the one entry where `environment` names it, else as it is (agentex-api.md §4).

    `environment` is a key, or else the `environment:` word of exactly one entry. Everything that is sent was checked.
    Raises InvalidInput(InvalidEnvironments).
    """
    document, entries = _environments(text)
    if environment is None:
        for key, entry in entries.items():
            _check_environment(key, entry)
        return text
    key = _chosen(entries, environment)
    _check_environment(key, entries[key])
    return yaml.dump(document | {"environments": {key: entries[key]}}, Dumper=_Dumper, sort_keys=False,
                     allow_unicode=True)


def expected_namespace(text: str, environment: str | None) -> str | None:
    """The namespace that the deployment will be in, as the server spells it; None where the file does not say which.

    Raises InvalidInput(InvalidEnvironments).
    """
    _, entries = _environments(text)
    if environment is None and len(entries) > 1:
        return None
    key = next(iter(entries)) if environment is None else _chosen(entries, environment)
    kubernetes = _check_environment(key, entries[key]).kubernetes
    return _namespace(kubernetes.namespace) if kubernetes else None


def _environments(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The whole document and its entries."""
    document = _mapping(text, reasons.INVALID_ENVIRONMENTS, ENVIRONMENTS)
    if document.get("schema_version") != "v1":
        raise _invalid_environments('schema_version must be "v1"; write it as the first line')
    entries = document.get("environments")
    if not isinstance(entries, dict) or not entries:
        raise _invalid_environments("environments must be a map with at least one environment; add one")
    if odd := [key for key in entries if not isinstance(key, str)]:
        raise _invalid_environments(f"the environment {_short(str(odd[0]))} is not named by a text; put it in quotes")
    return document, entries


def _chosen(entries: dict[str, Any], environment: str) -> str:
    """The key that `environment` means."""
    if environment in entries:
        return environment
    maps = {key: entry for key, entry in entries.items() if isinstance(entry, dict)}
    meant = [key for key, entry in maps.items() if entry.get("environment") == environment]
    if len(meant) == 1:
        return meant[0]
    problem = f"has no environment {_short(environment)}" if not meant else f"maps {_short(environment)} more than once"
    raise InvalidInput(reasons.INVALID_ENVIRONMENTS,
                       f"{ENVIRONMENTS} {problem}; there is {_listed(entries)}. Correct spec.environment.")


def _check_environment(key: str, entry: object) -> _Environment:
    name = f"environments.{_plain(key)}"
    if not isinstance(entry, dict):
        raise _invalid_environments(f"{name} must be a map with auth and kubernetes")
    parsed = _validated(_Environment, entry, reasons.INVALID_ENVIRONMENTS, f"{ENVIRONMENTS}: {name}")
    ids = [one for one in ("user_id", "service_account_id") if parsed.auth.principal.get(one)]
    if len(ids) != 1:
        raise _invalid_environments(f"{name}.auth.principal must have exactly one of user_id and service_account_id")
    if parsed.kubernetes is not None:
        _check_namespace(f"{name}.kubernetes.namespace", parsed.kubernetes.namespace)
    return parsed


def _check_namespace(name: str, namespace: str) -> None:
    spelt = _namespace(namespace)
    if not _NAMESPACE.fullmatch(spelt) or len(spelt) > 63:
        raise _invalid_environments(f"{name} must be 1 to 63 lower-case letters, digits, hyphens and dots, with no "
                                    "hyphen at either end")


def _namespace(namespace: str) -> str:
    return namespace.strip().lower()


def _invalid_environments(what: str) -> InvalidInput:
    return InvalidInput(reasons.INVALID_ENVIRONMENTS, f"{ENVIRONMENTS}: {what}.")


class _Dumper(yaml.SafeDumper):
    """Writes every value out: the entry must not depend on anchors that were cut away."""

    def ignore_aliases(self, value: object) -> bool:
        return True


# --- labels and fingerprints ----------------------------------------------------------------------------------------


def sanitised_label(label: str) -> str | None:
    """The preview label as the server will spell it; None where nothing is left (agentex-api.md §6)."""
    spelt = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
    return spelt[:LONGEST_LABEL].strip("-") or None


def configuration_fingerprint(manifest_text: str, environments_text: str) -> str:
    """sha256 (hex) of what the two YAML texts mean: comments, order of keys and style do not count. Never raises.

    A text that is not usable YAML counts as it is written.
    """
    meant = [_meaning(manifest_text), _meaning(environments_text)]
    return hashlib.sha256(json.dumps(meant, sort_keys=True, default=str).encode()).hexdigest()


def _meaning(text: str) -> object:
    try:
        return {"yaml": _canonical(yaml_text.load(text, "", ""))}
    except InvalidInput:
        return {"text": text}


def _canonical(value: object) -> object:
    """JSON can say it, and no two different keys become one."""
    if isinstance(value, dict):
        return {json.dumps(key, default=str): _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return value


# --- shared ---------------------------------------------------------------------------------------------------------


def _mapping(text: str, reason: str, name: str) -> dict[str, Any]:
    document = yaml_text.load(text, reason, name)
    if not isinstance(document, dict):
        raise InvalidInput(reason, f"{name} must be a YAML map; it is {_kind(document)}.")
    return document


def _validated(model: type[ModelT], document: dict[str, Any], reason: str, name: str) -> ModelT:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise InvalidInput(reason, f"{name}: {_first_problem(error)}.") from error


def _first_problem(error: ValidationError) -> str:
    """Where, what, and what to do; never a value, which may be secret."""
    first = error.errors(include_url=False, include_context=False)[0]
    where = _plain(".".join(str(part) for part in first["loc"]))
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where}: {_advice(first['type'], first['msg'], first['input'])}{more}"


def _advice(kind: str, message: str, value: object) -> str:
    if kind == "missing":
        return "it is required; add it"
    if kind == "string_type" and isinstance(value, int | float):
        return "it must be a text; put it in quotes"
    if kind == "string_pattern_mismatch":
        return "only lower-case letters, digits and hyphens are allowed; rename it"
    return message[:1].lower() + message[1:]


def _kind(value: object) -> str:
    return {"NoneType": "empty", "list": "a list"}.get(type(value).__name__, "a single value")


def _listed(entries: dict[str, Any]) -> str:
    shown = ", ".join(_short(key) for key in list(entries)[:10])
    return f"{shown} and {len(entries) - 10} more" if len(entries) > 10 else shown


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:79] + "…")


def _plain(text: str) -> str:
    """A key of the user's in the middle of a sentence: no control characters, not endless."""
    return "".join(one if one.isprintable() else "?" for one in text[:160])
