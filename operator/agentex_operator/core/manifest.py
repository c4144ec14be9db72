"""manifest.yaml, checked by the vendor's rules before it is sent (agentex-api.md §4)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from agentex_operator.core import guard, quoting, reasons, vendor_files
from agentex_operator.core.errors import InvalidInput
from agentex_operator.core.vendor_models import VendorManifest, VendorTemporal

MANIFEST: Final = "manifest.yaml"
_CREDENTIAL: Final = ("env_var_name", "secret_name", "secret_key")


@dataclass(frozen=True, slots=True)
class Manifest:
    """The parts of a valid manifest.yaml that the operator uses. Paths are as written, and may leave the source."""

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
        """The manifest in a text, checked by the vendor's rules. Raises InvalidInput(InvalidManifest).

        `expected_agent`: the agent of the resource; None if only its id is known.
        """
        document = vendor_files.mapping(text, reasons.INVALID_MANIFEST, MANIFEST)
        parsed = vendor_files.validated(VendorManifest, document, reasons.INVALID_MANIFEST, MANIFEST)
        _check_agent_name(parsed.agent.name, expected_agent)
        _check_temporal(parsed.agent.temporal)
        _check_credentials(parsed.agent.credentials or [])
        return _summary(parsed)


def agent_named_in(text: str) -> str | None:
    """The name of the agent in a manifest, valid or not; None if there is none. Never raises."""
    document = guard.or_none(vendor_files.mapping, text, reasons.INVALID_MANIFEST, MANIFEST)
    agent = document.get("agent") if document else None
    name = agent.get("name") if isinstance(agent, dict) else None
    return name if isinstance(name, str) else None


def _summary(parsed: VendorManifest) -> Manifest:
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
        raise _invalid_manifest(f"agent.name is {quoting.quoted(name)}, but this resource is for the agent "
                                f"{quoting.quoted(expected)}; correct agent.name, or use an AgentBuild of the agent "
                                f"{quoting.quoted(name)}")


def _check_temporal(temporal: VendorTemporal | None) -> None:
    if temporal is not None and temporal.enabled and not (temporal.workflow or temporal.workflows):
        raise _invalid_manifest("agent.temporal is enabled without a workflow; list one under agent.temporal.workflows")


def _check_credentials(credentials: list[dict[str, object]]) -> None:
    for position, one in enumerate(credentials):
        _check_credential(position, one)
    times = Counter(str(one["env_var_name"]) for one in credentials if "env_var_name" in one)
    name, most = next(iter(times.most_common(1)), ("", 0))
    if most > 1:
        raise _invalid_manifest(f"agent.credentials sets {quoting.quoted(name)} more than once; give each "
                                "env_var_name once")


def _check_credential(position: int, credential: dict[str, object]) -> None:
    """Check that the three keys are texts. A map with none of them is the older form, which may hold anything."""
    there = [key for key in _CREDENTIAL if key in credential]
    bad = [key for key in _CREDENTIAL if not isinstance(credential.get(key), str) or not credential[key]]
    if there and bad:
        raise _invalid_manifest(f"agent.credentials[{position}].{bad[0]} must be a text; set all of "
                                f"{', '.join(_CREDENTIAL)}")


def _invalid_manifest(what: str) -> InvalidInput:
    return InvalidInput(reasons.INVALID_MANIFEST, f"{MANIFEST}: {what}.")
