"""The inputs digest of an AgentBuild: what makes two images the same, and what a staged context depends on."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentex_operator.api.build import AgentBuildSpec

IMAGE_HAS_NO_CONTEXT = ""


def inputs_digest(spec: AgentBuildSpec, context_digest: str) -> str:
    """sha256 (hex) of everything that makes the image: context, build args, platform, image name, pinned tag, agent."""
    args = sorted((arg.name, arg.value) for arg in spec.build_args)
    image = spec.source.image.url if spec.source.image else None
    return _digest(context_digest, args, spec.platform, spec.image.name, spec.image.tag, spec.agent_name,
                   spec.agent_id, image)


def source_fingerprint(spec: AgentBuildSpec, revision: str | None) -> str:
    """sha256 (hex) of what a staged context depends on: the source, its revision, the path and the manifest."""
    return _digest(repr(spec.source), repr(spec.context), revision)


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()
