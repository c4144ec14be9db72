"""The context root of a manifest, also where build.context.root leads above the source.

`agentex init` writes `build.context.root: ../` into a manifest, so an agent that is alone in its source has its context
root above the source. Then the source is seen mounted at a directory of a virtual tree, which has no other files. `..`
at the top of this tree stays there, as at `/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentex_operator.core import reasons
from agentex_operator.core.errors import InvalidInput
from agentex_operator.sources.tarheaders import has_control_characters, shown
from agentex_operator.sources.tree import Chain, Directory, Found, climbs, find

if TYPE_CHECKING:
    from agentex_operator.api.build import Context
    from agentex_operator.core.manifest import Manifest
    from agentex_operator.sources.limits import ContextLimits


@dataclass(frozen=True, slots=True)
class ContextRoot:
    """The directory that the paths of a manifest are seen from. `mounted_at`: the source's place; None: not mounted."""

    chain: Chain
    mounted_at: str | None = None

    def find(self, path: str) -> Found | None:
        """The target of a path, as `tree.find` says; in a mounted source, `..` at the top stays there."""
        return find(self.chain, path if self.mounted_at is None else _within(self.chain, path))

    @property
    def seen(self) -> str:
        """How the source is seen, for a message; empty for a source that is not mounted."""
        place = shown(self.mounted_at or "")
        return "" if self.mounted_at is None else f" (mounted at {place}; spec.context.mountPath sets another place)"


def context_root(at: Chain, manifest: Manifest, context: Context, limits: ContextLimits) -> ContextRoot:
    """The context root of a manifest in the directory `at`. Raises InvalidInput(InvalidContext)."""
    mount = _mount_path(manifest, context, limits) if climbs(at, manifest.root) else None
    seen = ContextRoot(at) if mount is None else ContextRoot((*_above(at[0], mount), *at), "/".join(mount) or ".")
    found = seen.find(manifest.root)
    if found is None or found.file is not None:
        raise _invalid(f"build.context.root {shown(manifest.root)} is not a directory of the source{seen.seen}. "
                       "Correct it in the manifest")
    return ContextRoot(found.chain, seen.mounted_at)


def _mount_path(manifest: Manifest, context: Context, limits: ContextLimits) -> tuple[str, ...]:
    """Where the source is mounted: spec.context.mountPath, else such that the manifest lies beside the Dockerfile."""
    if context.mount_path is not None:
        return _checked(context.mount_path, _parts(context.mount_path), limits)
    beside, inside = _directory(manifest.dockerfile), _directory(f"{context.path}/{context.manifest}")
    below = len(inside) and beside[-len(inside):] == inside
    return _checked(manifest.dockerfile, beside[:-len(inside)] if below else beside, limits)


def _directory(path: str) -> tuple[str, ...]:
    return _parts(path.rpartition("/")[0])


def _parts(path: str) -> tuple[str, ...]:
    """The components of a path in a tree in which `..` at the top stays there."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in {"", "."}:
            parts.append(part)
    return tuple(parts)


def _checked(path: str, parts: tuple[str, ...], limits: ContextLimits) -> tuple[str, ...]:
    """The parts, if an archive could hold them too: they become the beginning of names in the upload."""
    odd = has_control_characters(path) or "\\" in path
    if odd or len(path.encode("utf-8", "replace")) > limits.path or len(parts) > limits.depth:
        raise _invalid(f"The source cannot be mounted at {shown('/'.join(parts))}: a directory has at most "
                       f"{limits.path} bytes and {limits.depth} levels, without backslashes. Correct "
                       "spec.context.mountPath, or build.context.dockerfile in the manifest")
    return parts


def _above(root: Directory, mount: tuple[str, ...]) -> Chain:
    """The virtual directories above the source's root, from the top down."""
    chain: Chain = ()
    below = root
    for name in reversed(mount):
        below = Directory({name: below})
        chain = (below, *chain)
    return chain


def _within(start: Chain, path: str) -> str:
    """The path without each `..` that would lead above the top of the tree."""
    depth, kept = len(start) - 1, list[str]()
    for part in path.split("/"):
        if part == ".." and depth == 0:
            continue
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        kept.append(part)
    return "/".join(kept) or ("/" if path.startswith("/") else ".")


def _invalid(what: str) -> InvalidInput:
    return InvalidInput(reasons.INVALID_CONTEXT, f"{what}.")
