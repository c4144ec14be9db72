"""Build contexts: the revision of a source (cheap, every pass), and its staged archive (costly, before a create)."""

from agentex_operator.sources.sources import Sources
from agentex_operator.sources.staging_area import Staged

__all__ = ["Sources", "Staged"]
