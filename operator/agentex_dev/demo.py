"""The demo: the samples become Ready on real parts, and a preview expires, before a newcomer's eyes."""

from __future__ import annotations

import contextlib
import signal
import time

from agentex_dev import demo_samples
from agentex_dev.demo_performance import Performance
from agentex_dev.demo_stage import Stage
from agentex_dev.demo_views import LineView, fitting_view, hints

INTERRUPTED = 130


def main(once: bool) -> int:
    """Run the demo; with `once` it ends by itself, and 0 means that all became Ready and the preview expired."""
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.default_int_handler)
    began = time.monotonic()
    try:
        with Stage() as stage:
            result = _perform(stage, began, once)
    except KeyboardInterrupt:
        return INTERRUPTED
    if once:
        print(result, flush=True)
    return 0


def _perform(stage: Stage, began: float, once: bool) -> str:
    performance = Performance(stage, demo_samples.read(stage.endpoint))
    performance.begin()
    with fitting_view() as view:
        performance.watch_until_complete(view)
    result = f"demo: {performance.board.result}, in {time.monotonic() - began:.0f} s"
    if not once:
        print(f"\n{result}\n\n{hints(stage.plane.admin_kubeconfig, stage.endpoint)}", flush=True)
        _stay(performance)
    return result


def _stay(performance: Performance) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        performance.watch(LineView(heartbeat=None))
