"""Build logs as server-sent events, byte for byte as documented (agentex-api.md section 1.6)."""

import asyncio
import json
from collections.abc import AsyncIterator

from agentex_simulator.errors import RejectedError
from agentex_simulator.world import World

HEARTBEAT = b": ping\n\n"
HEARTBEAT_EVERY = 15.0
LOOK_EVERY = 0.5
LOOK_AT_LEAST_EVERY = 0.02


def frame(line: str) -> bytes:
    """One log line; no event, id or retry field, and the blank line without which the SDK loses it."""
    return b"data: " + json.dumps({"line": line}).encode() + b"\n\n"


async def log_frames(world: World, account: str, build_id: str) -> AsyncIterator[bytes]:
    """Lines from the start, then more while the build runs; the stream just ends with the build.

    Following and replaying from the start are unknown in the docs: chosen because the call is said to stream.
    """
    pause = max(LOOK_AT_LEAST_EVERY, min(LOOK_EVERY, world.stage.scaled(1)))
    sent, quiet, complete = 0, 0.0, False
    while not complete:
        try:
            lines, complete = world.builds.log(account, build_id)
        except RejectedError:
            return  # removed while it was read
        for line in lines[sent:]:
            yield frame(line)
        quiet = quiet + pause if len(lines) == sent else 0.0
        sent = len(lines)
        if quiet > HEARTBEAT_EVERY:
            yield HEARTBEAT
            quiet = 0.0
        if not complete:
            await asyncio.sleep(pause)
