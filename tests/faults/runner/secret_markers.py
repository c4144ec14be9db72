"""Secrets with a marker, and the search for them wherever nobody may see them (I16).

A marker is random and made of letters that occur in no id, no digest and, eight in a row, in no word. So a whole log is
searched in one go, and any eight characters of a marker are a finding: plain, in base64 at any offset, and in a URL.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from agentex_testkit.api_server import Object
from agentex_testkit.cluster_fixture import ClusterFixture
from agentex_testkit.judge.findings import Finding, Harm

LETTERS = "ghjkmnpqrstvwxzGHJKMNPQRSTVWXZ"
RANDOM = 28
PART = 8  # so many characters in a row are no accident
SEED = 4  # so many are looked for first, in few places: that is five times as fast
SHOWN = 60


@dataclass(frozen=True)
class SecretMarker:
    """One secret: what it is, its whole text, and the random part of it."""

    what: str
    text: str
    random: str

    @staticmethod
    def of(what: str, before: str = "", after: str = "") -> SecretMarker:
        """A new marker between these texts."""
        part = "".join(secrets.choice(LETTERS) for _ in range(RANDOM))
        return SecretMarker(what, f"{before}{part}{after}", part)

    @property
    def parts(self) -> Iterator[str]:
        """Every piece that is a finding."""
        for spelling in (self.random, *_in_base64(self.random)):
            yield from (spelling[at:at + PART] for at in range(len(spelling) - PART + 1))


@dataclass(frozen=True)
class PlantedSecrets:
    """The secrets of one world, each unique."""

    api_key: SecretMarker
    source_token: SecretMarker
    password: SecretMarker
    context: SecretMarker

    @property
    def all(self) -> tuple[SecretMarker, ...]:
        return (self.api_key, self.source_token, self.password, self.context)

    @property
    def secrets(self) -> tuple[Object, ...]:
        """Secrets that a source may ask for: `source-token` and `source-password`."""
        basic = {"username": "reader", "password": self.password.text}
        return _secret("source-token", bearerToken=self.source_token.text), _secret("source-password", **basic)

    def url(self, host: str, path: str = "/context.tar.gz") -> str:
        """A URL with a password in it, which the operator must refuse."""
        return f"https://reader:{quote(self.password.text, safe='')}@{host}{path}"

    def dockerfile(self, before: str = "FROM scratch\n") -> str:
        """A Dockerfile for a context that is kept in a Secret."""
        return f"{before}ENV TOKEN={self.context.text}\n"


def _secret(name: str, **texts: str) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": texts}


def plant() -> PlantedSecrets:
    """Make new secrets: an API key, a source's token and password, the content of a Secret."""
    return PlantedSecrets(
        api_key=SecretMarker.of("the API key", "key-"),
        source_token=SecretMarker.of("a source's token", "tok_", "/+="),
        password=SecretMarker.of("a source's password", "p%40/", "+&"),
        context=SecretMarker.of("a context kept in a Secret"),
    )


@dataclass
class LeakDetector:
    """Looks for the markers of one world; each time only at what is new."""

    world: ClusterFixture
    markers: Sequence[SecretMarker]
    _read: int = 0
    _versions: dict[str, int] = field(default_factory=dict)
    _events: set[str] = field(default_factory=set)

    def leaks(self) -> tuple[Finding, ...]:
        """A finding for every marker that was seen where nobody may see it."""
        parts = parts_of(self.markers)
        return tuple(dict.fromkeys(
            Finding("I16", f"{marker.what} in {where}: {_around(text, part)}", Harm.OTHER)
            for where, text in self._texts() for part, marker in found_in(text, parts)))

    def _texts(self) -> Iterator[tuple[str, str]]:
        yield "the operator's log", self._new_log()
        yield from self._new_versions()
        yield from self._new_events()
        yield from of_the_process(self.world)
        yield "the names in its work directory", "\n".join(map(str, _files(self.world.operator.folder / "work")))

    def _new_log(self) -> str:
        """The log from a little before the last read: a marker may lie across."""
        path = self.world.operator.log_path
        if not path.exists():
            return ""
        with path.open("rb") as log:
            log.seek(max(0, self._read - 200))
            text = log.read()
            self._read = log.tell()
        return text.decode(errors="replace")

    def _new_versions(self) -> Iterator[tuple[str, str]]:
        """New versions of the objects without their specs, which are the user's own."""
        for uid, versions in self.world.evidence().versions.items():
            begin, self._versions[uid] = self._versions.get(uid, 0), len(versions)
            for one in versions[begin:]:
                yield f"{one['kind']} {one['metadata']['name']}", json.dumps(_without_spec(one))

    def _new_events(self) -> Iterator[tuple[str, str]]:
        for one in self.world.api.list("Event", self.world.namespace):
            version = f"{one['metadata']['uid']} {one['metadata']['resourceVersion']}"
            if version not in self._events:
                self._events.add(version)
                yield f"an Event about {one['regarding'].get('name')}", json.dumps(one)


def leaks(world: ClusterFixture, markers: Sequence[SecretMarker]) -> tuple[Finding, ...]:
    """A finding for every marker that was seen so far where nobody may see it."""
    return LeakDetector(world, markers).leaks()


def of_the_process(world: ClusterFixture) -> Iterator[tuple[str, str]]:
    """What every user of the machine can read about the operator's processes, found by their working directory."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink() == world.operator.folder:
                yield "its command line", (process / "cmdline").read_bytes().decode(errors="replace")
                yield "its environment", (process / "environ").read_bytes().decode(errors="replace")


@dataclass(frozen=True)
class Parts:
    """The pieces of the markers with their markers, and everything of SEED letters in the pieces."""

    whose: Mapping[str, SecretMarker]
    seeds: frozenset[str]


def parts_of(markers: Sequence[SecretMarker]) -> Parts:
    """The pieces of these markers."""
    whose = {part: marker for marker in markers for part in marker.parts}
    return Parts(whose, frozenset(part[at:at + SEED] for part in whose for at in range(PART - SEED + 1)))


def found_in(text: str, parts: Parts) -> list[tuple[str, SecretMarker]]:
    """The markers in a text, each with one piece of it."""
    found = {parts.whose[piece].what: piece for at in _suspects(text, parts.seeds)
             for piece in _pieces(text[max(0, at + SEED - PART):at + PART]) & parts.whose.keys()}
    return [(piece, parts.whose[piece]) for piece in found.values()]


def _suspects(text: str, seeds: Set[str]) -> Iterator[int]:
    """Where a piece may be: at these distances, every piece contains one of the seeds."""
    return (at for at in range(0, len(text), PART - SEED + 1) if text[at:at + SEED] in seeds)


def _pieces(text: str) -> set[str]:
    return {text[at:at + PART] for at in range(len(text) - PART + 1)}


def _around(text: str, part: str) -> str:
    """The place in the text, without the secret."""
    at = text.index(part)
    return f"...{text[max(0, at - SHOWN):at]}[here]"


def _in_base64(text: str) -> Iterator[str]:
    """The base64 characters that depend on the text alone, for each offset in a group of three."""
    for offset in range(3):
        coded = base64.b64encode(bytes(offset) + text.encode()).decode().rstrip("=")
        yield coded[(0, 2, 3)[offset]:(offset + len(text)) * 8 // 6]


def _without_spec(obj: Object) -> Object:
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return {"metadata": metadata, "status": obj.get("status")}


def _files(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from folder.rglob("*")
