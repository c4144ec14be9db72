"""A simulator a thousand times faster than the real thing, and the vendor's SDK in its strictest mode."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from scale_gp_beta import DefaultHttpxClient, SGPClient

from agentex_simulator import Settings, SimulatorThread

TRUST = ssl.create_default_context()  # once: reading the certificates costs more than most tests
ACCOUNTS = (("acct-1", "key-1"), ("acct-2", "key-2"))
Starting = Callable[..., SimulatorThread]
Connecting = Callable[..., SGPClient]


@pytest.fixture
def start() -> Iterator[Starting]:
    """Start a simulator with other settings."""
    with ExitStack() as stack:
        yield lambda **wish: stack.enter_context(
            SimulatorThread(Settings(**{"time_scale": 1000, "accounts": ACCOUNTS, **wish}))
        )


@pytest.fixture
def connect() -> Iterator[Connecting]:
    """An SDK client for a simulator, account 1 unless told otherwise."""
    with ExitStack() as stack:

        def client(simulator: SimulatorThread, account: str = "acct-1", key: str = "key-1", **wish: Any) -> SGPClient:
            http = DefaultHttpxClient(verify=TRUST)
            options = {"max_retries": 0, "_strict_response_validation": True, "http_client": http, **wish}
            return stack.enter_context(SGPClient(api_key=key, account_id=account, base_url=simulator.url, **options))

        yield client


@pytest.fixture
def simulator(start: Starting) -> SimulatorThread:
    return start()


@pytest.fixture
def client(simulator: SimulatorThread, connect: Connecting) -> SGPClient:
    return connect(simulator)
