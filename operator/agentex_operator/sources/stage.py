"""The files of a build context, chosen from a source's tree as the vendor's packager does (agentex-api.md §7).

    1. the manifest at `<context path>/<manifest>`; the context root is its directory / build.context.root (mount.py)
    2. build.context.dockerfile becomes `Dockerfile`, build.context.dockerignore (if it exists) `.dockerignore`
    3. every directory of include_paths is staged, except names that match a line of the .dockerignore: fnmatch on base
       names only, as the vendor does; the remote builder applies the real rules later. An included root `Dockerfile`
       replaces the one of step 2
    4. symbolic links are replaced by their targets; a link that leads out of the source is refused. The target of a
       link that is not staged does not matter

A staging is a mapping of paths to files of the tree: no content is copied.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from agentex_operator.core import guard, reasons
from agentex_operator.core.environments import ENVIRONMENTS
from agentex_operator.core.errors import InvalidInput
from agentex_operator.sources.limits import LARGEST_TEXT, ContextLimits, too_large
from agentex_operator.sources.mount import ContextRoot, context_root
from agentex_operator.sources.tarheaders import shown
from agentex_operator.sources.tree import Blobs, Chain, Directory, File, Link, find, follow, names, unsafe

if TYPE_CHECKING:
    from agentex_operator.api.build import Context
    from agentex_operator.core.manifest import Manifest
    from agentex_operator.core.reasons import Reason
    from agentex_operator.sources.packing import Staging

_MOST_PATTERNS: Final = 500
_NOTHING: Final = re.compile(r"(?!)")
_LARGEST_IGNORE: Final = 64 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class AgentTexts:
    """The manifest of a context, and the environments.yaml in the same directory, if any. `at`: that directory."""

    manifest: str
    environments: str | None
    at: Chain


def read_texts(root: Directory, blobs: Blobs, path: str, manifest: str) -> AgentTexts:
    """The manifest and environments.yaml. Raises InvalidInput: ManifestNotFound, InvalidManifest, InvalidContext."""
    place = f"{path}/{manifest}"
    found = find((root,), place)
    if found is None or found.file is None:
        raise InvalidInput(reasons.MANIFEST_NOT_FOUND, _no_manifest(root, place))
    at = found.chain
    beside = find(at, ENVIRONMENTS)
    environments = beside.file if beside is not None else None
    return AgentTexts(
        _text(blobs, found.file, reasons.INVALID_MANIFEST, manifest),
        _text(blobs, environments, reasons.INVALID_ENVIRONMENTS, ENVIRONMENTS) if environments else None, at)


def stage(texts: AgentTexts, manifest: Manifest, context: Context, blobs: Blobs, limits: ContextLimits) -> Staging:
    """The files of the build context, by path. `context`: where the manifest lies, as the spec says.

    Raises InvalidInput: DockerfileNotFound, UnsafeSymlink, ContextTooLarge, InvalidContext.
    """
    root = context_root(texts.at, manifest, context, limits)
    staging = _Collector(root, limits)
    staging.files["Dockerfile"] = _dockerfile(root, manifest.dockerfile)
    ignored = _NOTHING
    if manifest.dockerignore and (ignore := _file(root, manifest.dockerignore)):
        staging.files[".dockerignore"] = ignore
        ignored = _ignoring(blobs, ignore)
    for path in manifest.include_paths:
        staging.include(path, ignored)
    staging.require_no_clash()
    return staging.files


# --- single files ---------------------------------------------------------------------------------------------------


def _no_manifest(root: Directory, place: str) -> str:
    """The message: where the manifest was expected, and the right path for an archive with one top directory."""
    top = list(names(root))
    here = f"There is no manifest at {shown(_tidy(place))} in the source."
    if len(top) == 1 and _leads_to_file(root, f"{top[0]}/{place}"):
        inside = _tidy(f"{top[0]}/{place}").rpartition("/")[0]
        return f"{here} Set spec.context.path to {shown(inside)}: the archive has one top-level directory."
    listed = ", ".join(map(shown, top[:8])) + (" …" if len(top) > 8 else "")
    return f"{here} Its top level has {listed}. Correct spec.context."


def _leads_to_file(root: Directory, path: str) -> bool:
    try:
        found = find((root,), path)
    except InvalidInput:
        return False
    return found is not None and found.file is not None


def _tidy(path: str) -> str:
    return "/".join(part for part in path.split("/") if part not in {"", "."})


def _text(blobs: Blobs, file: File, reason: Reason, name: str) -> str:
    """The content of a file as text, without a byte-order mark. Raises InvalidInput(reason)."""
    content = blobs.read(file, LARGEST_TEXT)
    if content is None:
        raise InvalidInput(reason, f"{name} is larger than {LARGEST_TEXT:,} bytes. Make it smaller.")
    with guard.raising(lambda _error: InvalidInput(reason, f"{name} is not UTF-8 text. Save it as UTF-8.")):
        return content.decode("utf-8-sig")


def _file(root: ContextRoot, path: str) -> File | None:
    found = root.find(path)
    return found.file if found is not None else None


def _dockerfile(root: ContextRoot, path: str) -> File:
    found = _file(root, path)
    if found is None:
        raise InvalidInput(reasons.DOCKERFILE_NOT_FOUND, f"There is no Dockerfile at {shown(path)}, seen from "
                           f"build.context.root{root.seen}. Add it to the source, or correct build.context.dockerfile.")
    return found


def _invalid(what: str) -> InvalidInput:
    return InvalidInput(reasons.INVALID_CONTEXT, f"{what}.")


# --- the packager's ignore rules ------------------------------------------------------------------------------------


def _ignoring(blobs: Blobs, file: File) -> re.Pattern[str]:
    """One expression for all lines of a .dockerignore. Raises InvalidInput if it is too long."""
    content = blobs.read(file, _LARGEST_IGNORE)
    patterns = _patterns(content.decode("utf-8-sig", "replace")) if content is not None else None
    if patterns is None or len(patterns) > _MOST_PATTERNS:
        raise _invalid(f"The .dockerignore is longer than {_MOST_PATTERNS} lines or {_LARGEST_IGNORE:,} bytes")
    with guard.raising(lambda _error: _invalid("The .dockerignore has a line that is no pattern")):
        return re.compile("|".join(map(fnmatch.translate, patterns))) if patterns else _NOTHING


def _patterns(text: str) -> list[str]:
    """The lines as the vendor reads them: cut at `#`, stripped, without empty ones."""
    lines = (line.split("#", 1)[0].strip() for line in re.split(r"\r\n|\r|\n", text))
    return [line for line in lines if line]


# --- include_paths --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Collector:
    """Collects the files of a context. All entries are counted, as links can make a small tree large."""

    root: ContextRoot
    limits: ContextLimits
    files: dict[str, File] = field(default_factory=dict)
    entries: int = 0
    size: int = 0

    def include(self, path: str, ignored: re.Pattern[str]) -> None:
        """Add a directory of the context, at the same path. Raises InvalidInput."""
        inside = _inside(path)
        found = self.root.find(inside)
        if found is None or found.file is not None:
            missing = f"is missing in the source{self.root.seen}"
            problem = missing if found is None else "is a file; only directories can be included"
            raise _invalid(f"include_paths names {shown(path)}, which {problem}. Correct it in the manifest")
        self._add_directory(inside, found.chain, ignored, ())

    def _add_directory(self, path: str, chain: Chain, ignored: re.Pattern[str], within: Chain) -> None:
        """Add the entries of a directory. `within`: the directories around it that are being added."""
        self._require_finite(path, chain[-1], within)
        for name in names(chain[-1]):
            if ignored.match(name) is None:
                self._add(f"{path}/{name}" if path else name, name, chain, ignored, (*within, chain[-1]))

    def _add(self, path: str, name: str, chain: Chain, ignored: re.Pattern[str], within: Chain) -> None:
        node = chain[-1].children[name]
        self._count(path)
        if isinstance(node, Link):
            found = follow(chain, name, node, path)
            node, chain = (found.file, chain) if found.file else (found.chain[-1], found.chain)
        elif isinstance(node, Directory):
            chain = (*chain, node)
        if isinstance(node, File):
            self._add_file(path, node)
        else:
            self._add_directory(path, chain, ignored, within)

    def _add_file(self, path: str, file: File) -> None:
        self.size += file.size
        if self.size > self.limits.unpacked:
            raise too_large(f"The build context is larger than {self.limits.unpacked:,} bytes")
        self.files[path] = file

    def _count(self, path: str) -> None:
        self.entries += 1
        if self.entries > self.limits.entries:
            raise too_large(f"The build context has more than {self.limits.entries:,} files and directories")
        if len(path.encode("utf-8", "replace")) > self.limits.path:
            raise _invalid(f"The path {shown(path)} is longer than {self.limits.path} bytes; shorten it")

    def _require_finite(self, path: str, directory: Directory, within: Chain) -> None:
        if any(directory is one for one in within):
            raise unsafe(f"A symbolic link makes {shown(path)} contain itself. Remove it.")
        if len(within) > self.limits.depth:
            raise _invalid(f"The path {shown(path)} has more than {self.limits.depth} levels; make it flatter")

    def require_no_clash(self) -> None:
        """Raise InvalidInput for a path that is a file by one rule and a directory by another."""
        for path in self.files:
            parents = path.split("/")[:-1]
            clash = next((one for one in _prefixes(parents) if one in self.files), None)
            if clash:
                raise _invalid(f"The build context has {shown(clash)} both as a file and as a directory. Rename one")


def _inside(path: str) -> str:
    """The include path, normalised. Raises InvalidInput if it leads out of the context root."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1] if parts else [".."]
        elif part not in {"", "."}:
            parts.append(part)
    if path.startswith("/") or ".." in parts:
        raise _invalid(f"include_paths names {shown(path)}, which is outside of build.context.root. Choose a root that "
                       "contains it")
    return "/".join(parts)


def _prefixes(parts: list[str]) -> list[str]:
    return ["/".join(parts[: length + 1]) for length in range(len(parts))]
