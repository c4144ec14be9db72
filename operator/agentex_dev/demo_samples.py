"""What the demo applies: the files of samples/demo, pointed at the simulator, and what is to become of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from agentex_dev.demo_rows import GROUP, Key, key_of
from agentex_dev.errors import DevError

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "samples" / "demo"
ENDPOINT = "http://127.0.0.1:8900"


@dataclass(frozen=True)
class Samples:
    """The YAML to apply, which resources of ours are in it, and which of them are previews that expire."""

    text: str
    resources: frozenset[Key]
    previews: frozenset[Key]


def read(endpoint: str, folder: Path = FOLDER) -> Samples:
    """Read every sample, with the simulator's address in the place of the documented one."""
    text = "\n---\n".join(path.read_text() for path in sorted(folder.glob("*.yaml")))
    if ENDPOINT not in text:
        raise DevError(f"No sample in {folder} has an account at {ENDPOINT}, so none would reach the simulator.")
    ours = list(_ours(yaml.safe_load_all(text)))
    previews = frozenset(key_of(document) for document in ours if _expires(document))
    return Samples(text.replace(ENDPOINT, endpoint), frozenset(map(key_of, ours)), previews)


def _ours(documents: Iterable[dict[str, Any] | None]) -> Iterable[dict[str, Any]]:
    return (each for each in documents if each and each["apiVersion"].startswith(f"{GROUP}/"))


def _expires(document: dict[str, Any]) -> bool:
    preview = document.get("spec", {}).get("preview") or {}
    return "ttl" in preview or "expiresAt" in preview
