"""The inputs of an AgentBuild: what makes two images the same, and what a staged context depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentex_operator.core import source_facts

if TYPE_CHECKING:
    from agentex_operator.api.build import AgentBuildSpec

IMAGE_HAS_NO_CONTEXT = ""


def of_image(spec: AgentBuildSpec, context_digest: str) -> tuple[object, ...]:
    """Everything that makes the image: context, build args, platform, image name, pinned tag, agent."""
    args = sorted((arg.name, arg.value) for arg in spec.build_args)
    image = source_facts.image_url(spec.source)
    return (context_digest, args, spec.platform, spec.image.name, spec.image.tag, spec.agent_name, spec.agent_id, image)


def of_context(spec: AgentBuildSpec, revision: str | None) -> tuple[object, ...]:
    """Everything that a staged context depends on: the source, its revision, the path and the manifest."""
    return repr(spec.source), repr(spec.context), revision
