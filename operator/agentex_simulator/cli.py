"""`agentex-simulator`: the simulator as a process."""

import asyncio
import signal
from typing import Any

import click

from agentex_simulator.app import Simulator
from agentex_simulator.settings import DEFAULT_ACCOUNTS, Settings

EPILOG = """
\b
Outcomes chosen by content:
  Dockerfile  RUN false | RUN exit N        the build fails there, reason in the log only
  Dockerfile  # simulate: sleep=30s         takes that much longer
  Dockerfile  # simulate: status=timed_out  ends so (error, failed, unknown)
  Dockerfile  # simulate: stuck             never ends by itself
  no Dockerfile at the root, not a tar.gz   the build fails, reason in the log only
  manifest    agent.description "simulate: unhealthy" | "simulate: stuck"   the rollout fails | never ends

\b
Control plane, loopback only, no key, never under the prefix:
  GET  /_sim/ledger?since=SEQ   committed mutations      GET /_sim/calls?since=SEQ  every call
  GET  /_sim/state              everything as it is      POST /_sim/reset
  POST /_sim/faults {"kind": ..., "match": {...}, "nth": 1, "count": 1 | "forever": true, ...}
  GET|DELETE /_sim/faults, DELETE /_sim/faults/ID
  POST /_sim/actors/NAME {...}  POST /_sim/accounts {"account": ID, "keys": [...]}
"""


def _pair(_context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    pairs = tuple((text.partition("=")[0], text.partition("=")[2]) for text in texts)
    if not all(account and key for account, key in pairs):
        raise click.BadParameter("expected ID=KEY")
    return pairs or DEFAULT_ACCOUNTS


def _prefix(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    return "/" + text.strip("/") if text.strip("/") else ""


@click.command(epilog=EPILOG)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, help="0 takes a free one.")
@click.option("--prefix", default="", callback=_prefix, help="Mount the API under a path, for example /public.")
@click.option(
    "--account",
    "accounts",
    multiple=True,
    callback=_pair,
    metavar="ID=KEY",
    help="An account and a key of it; repeatable, also for several keys of one account. Any other key gets 401. "
    "[default: acct-1=key-1]",
)
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same ids and durations.")
@click.option(
    *("--sim-max-archive", "--SIM_MAX_ARCHIVE", "max_archive"),
    envvar="SIM_MAX_ARCHIVE",
    type=click.IntRange(min=1),
    default=500_000_000,
    show_default=True,
    show_envvar=True,
    help="Largest context archive, in bytes.",
)
@click.option(
    *("--sim-time-scale", "--SIM_TIME_SCALE", "time_scale"),
    envvar="SIM_TIME_SCALE",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    show_envvar=True,
    help="Divides how long builds, rollouts and sweeps take; clocks and expiry stay real.",
)
@click.option("--supersede", type=click.Choice(["at-create", "at-healthy"]), default="at-healthy", show_default=True)
@click.option("--name-taken-status", default=409, show_default=True, help="Answer to an agent_name in use.")
@click.option("--terminal-delete-status", default=400, show_default=True, help="Answer to deleting what is over.")
@click.option("--status-case", type=click.Choice(["upper", "lower"]), default="upper", show_default=True)
@click.option("--environment", default=None, help="Environment the server picks. [default: the first]")
@click.option("--expiry-lag", default=0.0, help="Real seconds from a preview's expiry to its removal, at least.")
def main(**options: Any) -> None:
    """Pretend Agentex: the documented API in memory, with a ledger, scripted faults and external actors."""
    asyncio.run(_serve(Settings(**options)))


async def _serve(settings: Settings) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with Simulator(settings) as simulator:
        click.echo(f"agentex-simulator listening on {simulator.address}")
        await stopped.wait()
