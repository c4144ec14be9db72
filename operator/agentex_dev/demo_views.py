"""How the demo shows the board: a live table on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import sys
import sysconfig
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from pathlib import Path

    from agentex_dev.demo_board import Board
    from agentex_dev.demo_rows import Row

HEARTBEAT = 10.0
COLOURS = {"True": "green", "False": "red", "Unknown": "yellow"}

HINTS = """Look around in another terminal:

    export KUBECONFIG={kubeconfig} PATH={scripts}:$PATH
    kubectl get ab,ad,aga -n agentex-demo
    kubectl describe ad -n agentex-demo
    kubectl get events -n agentex-demo
    kubectl explain agentbuild.spec.source
    curl -s {endpoint}/_sim/ledger      # every change that Agentex committed
    curl -s {endpoint}/_sim/calls       # every call that it answered

What changes is shown here. Ctrl-C stops everything and leaves nothing behind.
"""


class View(AbstractContextManager["View"]):
    """Shows a board again and again."""

    def show(self, board: Board) -> None:
        """Show what is new about it."""
        raise NotImplementedError


class LineView(View):
    """A line for each change, and one every now and then when nothing changes."""

    def __init__(self, heartbeat: float | None = HEARTBEAT) -> None:
        self._heartbeat = heartbeat
        self._said_at = 0.0

    def __exit__(self, *failure: object) -> None:
        """Nothing is open."""

    def show(self, board: Board) -> None:
        """Print the changes, or what is being waited for."""
        for row in board.changes:
            self._say(board, line(row))
        for key in board.gone:
            self._say(board, f"{key}  is gone")
        if self._heartbeat and board.seconds - self._said_at >= self._heartbeat:
            self._say(board, f"... {board.result}; waiting for {', '.join(board.missing) or 'nothing'}")

    def _say(self, board: Board, text: str) -> None:
        print(f"{board.seconds:5.0f} s  {text}", flush=True)
        self._said_at = board.seconds


class TableView(View):
    """A table that is drawn over itself; the last one stays."""

    def __init__(self) -> None:
        self._live = Live(console=Console(), auto_refresh=False, vertical_overflow="visible")

    def __enter__(self) -> TableView:
        self._live.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._live.stop()

    def show(self, board: Board) -> None:
        """Draw the table anew."""
        self._live.update(Group(table(board), footer(board)), refresh=True)


def fitting_view() -> View:
    """Give the view that suits where the output goes."""
    return TableView() if sys.stdout.isatty() else LineView()


def line(row: Row) -> str:
    """Say a row in one line."""
    condition = f"{row.reason}: {row.message}" if row.reason else "(not looked at yet)"
    return f"{row.key}  {row.phase}  Ready={row.ready}  {' '.join(condition.split())}"


def table(board: Board) -> Table:
    """Lay the rows out, accounts first."""
    drawn = Table(expand=True, header_style="bold", pad_edge=False, box=None)
    for name in ("KIND", "NAME", "PHASE", "READY", "REASON"):
        drawn.add_column(name, no_wrap=True)
    drawn.add_column("MESSAGE", no_wrap=True, overflow="ellipsis", ratio=1)
    drawn.add_column("SECONDS", no_wrap=True, justify="right")
    for row in board.rows.values():
        drawn.add_row(*_cells(row), f"{board.seconds_of(row):.0f}")
    return drawn


def footer(board: Board) -> Text:
    """Say how far it is, and what it waits for."""
    waiting = f"; waiting for {', '.join(board.missing)}" if board.missing else ""
    return Text(f"\n{board.seconds:.0f} s: {board.result}{waiting}", style="dim")


def hints(kubeconfig: Path, endpoint: str) -> str:
    """Say how to look around."""
    return HINTS.format(kubeconfig=kubeconfig, endpoint=endpoint, scripts=sysconfig.get_path("scripts"))


def _cells(row: Row) -> tuple[Text, ...]:
    # Text, not markup: a message may hold brackets.
    colour = COLOURS.get(row.ready, "dim")
    words = (row.key.kind, row.key.name, row.phase, row.ready, row.reason, " ".join(row.message.split()))
    return tuple(Text(word, style=colour if word is row.ready else "") for word in words)
