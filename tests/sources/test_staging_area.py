"""The work directory: private, locked while its operator lives, and cleared of what dead operators left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.sources.support import (
    CONFIG_MAP,
    HERE,
    left_behind,
    opened,
)

from agentex_operator.sources import Staged

KILLED = """
import os, sys
from pathlib import Path
from agentex_operator.sources.staging_area import StagingArea
area = StagingArea(Path(sys.argv[1]))
with area.scratch_dir() as scratch:
    (scratch / "half").write_text("x")
    os.kill(os.getpid(), 9)
"""


def test_files_of_a_killed_operator_are_removed_at_the_next_start(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, tmp_path / "work"], check=False, env={"PYTHONPATH": "operator"})
    left = left_behind(tmp_path)

    with opened(tmp_path):
        assert (len(left), left_behind(tmp_path)) == (1, [])


async def test_files_of_a_running_operator_are_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as first:
        staged: Staged = await first.stage("team", CONFIG_MAP, HERE, None)
        with opened(tmp_path):
            pass

        assert staged.archive.exists()


def test_the_work_directory_is_private(tmp_path: Path) -> None:
    with opened(tmp_path):
        assert [path.stat().st_mode & 0o777 for path in (tmp_path / "work").iterdir()] == [0o700]


def test_foreign_files_in_the_work_directory_stay(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "work/notes").write_text("mine")
    (tmp_path / "work/run-x").symlink_to(tmp_path / "elsewhere")

    with opened(tmp_path):
        assert ((tmp_path / "work/notes").exists(), (tmp_path / "elsewhere").exists()) == (True, True)
