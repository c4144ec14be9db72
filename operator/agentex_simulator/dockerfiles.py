"""What the pretend builder makes of a context: log lines, an outcome and how long it takes.

A test chooses the outcome by content, in the Dockerfile:
- `RUN false` or `RUN exit N` fails there, with the reason in the log only;
- `# simulate: sleep=30s` takes that much longer (before the time scale);
- `# simulate: status=timed_out` (or error, failed, unknown) ends so;
- `# simulate: stuck` never ends by itself.
"""

import re
from dataclasses import dataclass

from agentex_simulator.archives import ArchiveFacts

_DIRECTIVE = re.compile(r"^\s*#\s*simulate:\s*(.+?)\s*$", re.MULTILINE)
_SLEEP = re.compile(r"sleep=(\d+(?:\.\d+)?)s?$")
_STATUS = re.compile(r"status=([a-z_]+)$")
_FAILING = re.compile(r"^RUN\s+(?:(false)|exit\s+(\d+))\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class BuildPlan:
    """How a build will go; `extra_seconds` on top of the usual, None when it never ends by itself."""

    outcome: str
    lines: tuple[str, ...]
    extra_seconds: float | None = 0


def plan_build(archive: ArchiveFacts) -> BuildPlan:
    """Decide from the content alone."""
    opening = (f"Fetched build context: {archive.size} bytes, sha256:{archive.sha256}",)
    if archive.problem is not None:
        return BuildPlan("failed", (*opening, f"ERROR: failed to unpack build context: {archive.problem}"), 0)
    if archive.dockerfile is None:
        reason = "ERROR: failed to read Dockerfile: no Dockerfile at the root of the build context"
        return BuildPlan("failed", (*opening, reason), 0)
    return _follow(archive.dockerfile, opening)


def _follow(dockerfile: str, opening: tuple[str, ...]) -> BuildPlan:
    steps = _instructions(dockerfile)
    if not steps:
        return BuildPlan("failed", (*opening, "ERROR: failed to parse Dockerfile: file with no instructions"), 0)
    lines = [*opening, "Sending build context to the build daemon"]
    for number, step in enumerate(steps, 1):
        lines.append(f"Step {number}/{len(steps)} : {step}")
        code = _exit_code(step)
        if code:
            lines.append(_non_zero(step, code))
            return BuildPlan("failed", tuple(lines), _extra_seconds(dockerfile))
        lines.append(f" ---> {abs(hash_of(step)):012x}")
    return _ending(dockerfile, lines)


def _ending(dockerfile: str, lines: list[str]) -> BuildPlan:
    outcome = next((found[1] for text in _directives(dockerfile) if (found := _STATUS.match(text))), "success")
    last = "Successfully built and pushed" if outcome == "success" else f"ERROR: build ended as {outcome}"
    return BuildPlan(outcome, (*lines, last), _extra_seconds(dockerfile))


def hash_of(step: str) -> int:
    """A number that looks like a layer id and repeats from run to run."""
    value = 7
    for character in step:
        value = (value * 1_000_003 + ord(character)) % (1 << 48)
    return value


def _non_zero(step: str, code: int) -> str:
    command = step.split(None, 1)[1]
    return f"ERROR: The command '/bin/sh -c {command}' returned a non-zero code: {code}"


def _exit_code(step: str) -> int:
    found = _FAILING.match(step)
    return 0 if found is None else int(found[2] or 1)


def _instructions(dockerfile: str) -> list[str]:
    joined = re.sub(r"\\\s*\n", " ", dockerfile)
    lines = (line.strip() for line in joined.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _directives(dockerfile: str) -> list[str]:
    return _DIRECTIVE.findall(dockerfile)


def _extra_seconds(dockerfile: str) -> float | None:
    directives = _directives(dockerfile)
    if "stuck" in directives:
        return None
    return sum(float(found[1]) for text in directives if (found := _SLEEP.match(text)))
