"""Pretend Agentex: the remote API as documented, in memory, with a ledger, scripted faults and external actors.

In a test: `with SimulatorThread(Settings(time_scale=1000)) as simulator` or `async with Simulator(settings)`; as a
process: `agentex-simulator --port 0`, then `SimulatorClient(address)`. What a build or rollout does can be chosen by
its content, see `dockerfiles` and `deployments`; everything else by faults (`fault_kinds`) and actors (`actors`).
"""

from agentex_simulator.app import Simulator
from agentex_simulator.client import SimulatorClient, SimulatorError
from agentex_simulator.settings import Durations, Settings
from agentex_simulator.thread import SimulatorThread

__all__ = ["Durations", "Settings", "Simulator", "SimulatorClient", "SimulatorError", "SimulatorThread"]
