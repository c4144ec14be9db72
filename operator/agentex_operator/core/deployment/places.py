"""Where the manifest and the environments of an AgentDeployment are, in words for messages: what a user has to edit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentex_operator.core import reasons

if TYPE_CHECKING:
    from agentex_operator.api.references import KeyRef
    from agentex_operator.core.deployment.observed import Observed


def of_text(observed: Observed, reason: str) -> str:
    """The sentence that says where the text is that this reason refuses; "" for a reason that is about no text."""
    if reason == reasons.INVALID_MANIFEST:
        return f"The manifest is {of_manifest(observed)}."
    return f"The environments are {of_environments(observed)}." if reason == reasons.INVALID_ENVIRONMENTS else ""


def of_manifest(observed: Observed) -> str:
    """The place of the manifest."""
    manifest, build = observed.spec.manifest, observed.spec.build_ref
    if manifest.from_build and build is not None:
        return f"in the source of AgentBuild {build.name!r}"
    return _place(manifest.config_map_key_ref, "spec.manifest.inline")


def of_environments(observed: Observed) -> str:
    """The place of the environments."""
    return _place(observed.spec.environments.config_map_key_ref, "spec.environments.inline")


def _place(ref: KeyRef | None, inline: str) -> str:
    return f"in {inline}" if ref is None else f"under key {ref.key!r} of ConfigMap {ref.name!r}"
