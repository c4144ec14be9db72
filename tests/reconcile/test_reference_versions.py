"""What is known of objects that resources name: after reads, events and lists in any order no pass keeps an old one."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentex_operator.reconcile.reference_versions import ReferenceVersions
from agentex_testkit import samples

QUOTE = ("team", "quote")
ASKED = frozenset({QUOTE})
READERS = ("x", "y")
STEPS = st.lists(st.tuples(st.sampled_from(("write", "delete", "event", "cut", "send", "answer")),
                           st.sampled_from(READERS)), max_size=30)


@dataclass
class Story:
    """One ConfigMap, and readers that name it from the start; answers to reads and events of the watch may be late."""

    versions: ReferenceVersions = field(default_factory=lambda: ReferenceVersions(lambda _name: True))
    newest: int = 0
    stored: str | None = None
    events: list[str | None] = field(default_factory=list)
    in_flight: dict[str, list[str | None]] = field(default_factory=lambda: {reader: [] for reader in READERS})
    seen: dict[str, str | None] = field(default_factory=dict)     # what each reader acted on
    to_read: set[str] = field(default_factory=lambda: set(READERS))

    def step(self, what: str, reader: str) -> None:
        match what:
            case "write" | "delete":
                self.newest += 1
                self.stored = str(self.newest) if what == "write" else None
                self.events.append(self.stored)
            case "event" if self.events:
                self.wake_all(self.versions.take_change(QUOTE, self.events.pop(0)))
            case "cut":  # and healed by a list
                self.events.clear()
                self.list()
            case "send":
                self.in_flight[reader].append(self.stored)
                self.to_read.discard(reader)
            case "answer" if self.in_flight[reader]:
                self.seen[reader] = self.in_flight[reader].pop(0)
                self.wake_all(self.versions.take_read(QUOTE, self.seen[reader]))

    def list(self) -> None:
        listed = {} if self.stored is None else {QUOTE: self.stored}
        self.wake_all(bool(self.versions.take_list(ASKED, listed, ASKED)))

    def wake_all(self, woken: bool) -> None:
        if woken:
            self.to_read = set(READERS)

    def settle(self) -> None:
        """Let every answer and event come, and every reader that was woken read."""
        for _ in range(20):
            while self.events:
                self.step("event", "")
            for reader in READERS:
                if reader in self.to_read:
                    self.step("send", reader)
                while self.in_flight[reader]:
                    self.step("answer", reader)


@settings(max_examples=samples.examples(500), deadline=None)
@example([("write", "x"), ("send", "x"), ("write", "x"), ("send", "y"), ("answer", "y"), ("cut", "x")])
@example([("send", "x"), ("write", "x"), ("cut", "x"), ("send", "y"), ("answer", "y")])
@example([("write", "x"), ("send", "x"), ("answer", "x"), ("write", "x"), ("send", "y"), ("answer", "y"), ("cut", "x")])
@example([("write", "x"), ("send", "x"), ("write", "x"), ("cut", "x")])
@given(STEPS)
def test_every_reader_acts_on_the_newest_version_in_the_end(steps: list[tuple[str, str]]) -> None:
    story = Story()
    for step in steps:
        story.step(*step)
    story.settle()

    assert story.seen == dict.fromkeys(READERS, story.stored)
    assert not story.to_read


def test_a_read_that_is_older_than_what_was_listed_is_made_again() -> None:
    versions = ReferenceVersions(lambda _name: True)
    versions.take_read(QUOTE, "4")
    versions.take_list(ASKED, {QUOTE: "5"}, ASKED)

    assert versions.take_read(QUOTE, "4")


def test_a_read_that_is_newer_than_the_watch_is_woken_by_the_list_that_comes_instead_of_the_event() -> None:
    """The other one that names the ConfigMap has read the version before."""
    versions = ReferenceVersions(lambda _name: True)
    versions.take_read(QUOTE, "4")

    assert not versions.take_read(QUOTE, "5")
    assert versions.take_list(ASKED, {QUOTE: "5"}, ASKED) == [QUOTE]


def test_nothing_is_kept_of_what_nobody_names() -> None:
    named = {QUOTE}
    versions = ReferenceVersions(named.__contains__)
    versions.take_read(QUOTE, "1")
    versions.take_change(("team", "other"), "2")
    versions.take_read(("team", "other"), "2")
    assert len(versions) == 1

    named.clear()
    versions.take_list(ASKED, {}, frozenset())

    assert len(versions) == 0


def test_what_is_named_while_a_list_is_read_is_read_again_and_not_taken_for_deleted() -> None:
    versions = ReferenceVersions(lambda _name: True)
    versions.take_read(QUOTE, "7")

    assert versions.take_list(frozenset(), {}, ASKED) == [QUOTE]
    assert versions.take_list(ASKED, {QUOTE: "7"}, ASKED) == []
