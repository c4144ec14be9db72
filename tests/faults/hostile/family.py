"""The hostile family: malicious addresses, archives and YAML, one plan for each; the tables are the unit tests'.

A plan needs no cluster. It asserts what the tests of the same tables assert, and the limits: no connection is made, the
error has its reason, nothing is left on disk, and time and memory stay within the budget (reliability.md §2f).
"""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tests.core.hostile_yaml import HOSTILE
from tests.faults.programme.plans import Outcome, Scale
from tests.sources.archives import refusal
from tests.sources.hostile_addresses import PRIVATE, PUBLIC, REDIRECTS, URLS, Outside
from tests.sources.hostile_archives import LIMITED, REFUSED

from agentex_operator.core import reasons, yaml_text
from agentex_operator.core.errors import InvalidInput
from agentex_testkit.judge.findings import Finding, Harm

if TYPE_CHECKING:
    from tests.faults.runner.runner import Runner

MEBIBYTE = 1024 * 1024
SECONDS_OF_YAML, MEMORY_OF_YAML = 0.3, 20 * MEBIBYTE        # 0.1 s on an idle machine
SECONDS_OF_ARCHIVE, MEMORY_OF_ARCHIVE = 5.0, 64 * MEBIBYTE
HOME = "files.example.com"
Told = Iterator[str]
Check = Callable[[], Told]
Given = TypeVar("Given")


# --- addresses ------------------------------------------------------------------------------------------------------


def refused_address(url: str, names: dict[str, list[list[str]]] | None = None, redirect: str | None = None) -> Told:
    """I17: no connection is made; after a redirect, only the one to the server that redirected."""
    start = f"https://{HOME}/c"
    outside = Outside(names or {}, {start: redirect} if redirect else {})
    with tempfile.TemporaryDirectory() as folder:
        error = asyncio.run(outside.fetch(url, Path(folder)))
    allowed = [(PUBLIC, HOME)] if redirect else []
    if outside.connected != allowed:
        yield f"connected to {outside.connected}"
    if getattr(error, "reason", None) != "InvalidURL":
        yield f"it ended with {error!r}, not with InvalidURL"


def rebinding() -> Told:
    """The second DNS answer differs: the connection goes to the address that was checked."""
    outside = Outside({"rebinding.example.com": [[PUBLIC], ["127.0.0.1"]]})
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(outside.fetch("https://rebinding.example.com/c", Path(folder)))
    if outside.connected != [(PUBLIC, "rebinding.example.com")]:
        yield f"connected to {outside.connected}"


def addresses() -> Iterator[tuple[str, Check]]:
    """Addresses as literals, by name, beside a public address, behind a redirect, and rebound."""
    yield from ((f"url {url}", partial(refused_address, url)) for url in URLS)
    for address in PRIVATE:
        literal = f"[{address}]" if ":" in address else address
        yield f"literal {address}", partial(refused_address, f"https://{literal}/c")
        names = {"alone.example.com": [[address]], "both.example.com": [[PUBLIC, address]]}
        for name in names:
            yield f"{name} {address}", partial(refused_address, f"https://{name}/c", names)
    inside = {"internal.example.com": [["10.0.0.1"]]}
    for target in REDIRECTS:
        yield f"redirect {target}", partial(refused_address, f"https://{HOME}/c", inside, target)
    yield "rebinding", rebinding


# --- archives and YAML ----------------------------------------------------------------------------------------------


def refused_archive(make: Callable[[], bytes], limits: dict[str, int], reason: str) -> Told:
    """The archive is refused with its reason, and nothing of it is left on disk."""
    packed = make()
    with tempfile.TemporaryDirectory() as folder:
        read = partial(refusal, Path(folder), packed, **limits)
        error = yield from within(read, SECONDS_OF_ARCHIVE, MEMORY_OF_ARCHIVE)
        left = list(Path(folder).iterdir())
    if error is None or error.reason != reason:
        yield f"it ended with {error!r}, not with {reason}"
    if left:
        yield f"it left {left}"


def archives() -> Iterator[tuple[str, Check]]:
    for words, packed, reason in REFUSED:
        yield words, partial(refused_archive, partial(bytes, packed), {}, reason)
    for words, (make, limits, reason) in LIMITED.items():
        yield words, partial(refused_archive, make, limits, reason)


def refused_yaml(text: str) -> Told:
    """The YAML is refused with one short printable sentence."""
    error = yield from within(partial(_error_of, text), SECONDS_OF_YAML, MEMORY_OF_YAML)
    if error is None or error.reason != "InvalidManifest":
        yield f"it ended with {error!r}, not with InvalidManifest"
    elif len(error.message) >= 300 or not error.message.isprintable():
        yield f"it is said in {len(error.message)} characters: {error.message[:300]!r}"


def _error_of(text: str) -> InvalidInput | None:
    try:
        yaml_text.load(text, reasons.INVALID_MANIFEST, "manifest.yaml")
    except InvalidInput as error:
        return error
    return None


def yaml_texts() -> Iterator[tuple[str, Check]]:
    yield from ((words, partial(refused_yaml, text)) for words, text in HOSTILE.items())


def within(act: Callable[[], Given], seconds: float, memory: int) -> Generator[str, None, Given]:
    """I18: what `act` returns, run once by the clock and once by the memory; yields the budgets it exceeded."""
    began = time.thread_time()
    act()
    if (took := time.thread_time() - began) > seconds:
        yield f"it took {took:.2f} s, not {seconds} s"
    tracemalloc.start()
    try:
        given = act()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    if peak > memory:
        yield f"it took {peak // MEBIBYTE} MiB, not {memory // MEBIBYTE}"
    return given


# --- the family -----------------------------------------------------------------------------------------------------

SORTS = {"ssrf": addresses, "archive": archives, "yaml": yaml_texts}
BROKEN = {"ssrf": "I17", "archive": "I18", "yaml": "I18"}


def name_of(sort: str, words: str) -> str:
    """The name of the plan of this vector: printable, on one line."""
    return f"hostile/{sort}/{re.sub(r'[^!-~]+', '-', ascii(words)[1:-1])}"


PLANS: dict[str, Check] = {name_of(sort, words): check for sort, vectors in SORTS.items() for words, check in vectors()}


class Hostile:
    """The hostile family: one plan for each vector."""

    name = "hostile"

    def batches(self, scale: Scale) -> Iterable[Sequence[str]]:
        """One batch of each sort; they are quick, so the gate has all of them."""
        for sort in SORTS:
            yield [name for name in PLANS if name.startswith(f"hostile/{sort}/")]

    def run(self, runner: Runner, plans: Sequence[str]) -> Iterable[Outcome]:
        for name in plans:
            invariant = BROKEN[name.split("/")[1]]
            yield Outcome(name, tuple(Finding(invariant, text, Harm.OTHER) for text in PLANS[name]()))
