"""Build contexts: which version a source has (cheap, every pass), and its staged archive (dear, before a create)."""

from agentex_operator.sources.resolve import Sources
from agentex_operator.sources.workshop import Staged

__all__ = ["Sources", "Staged"]
