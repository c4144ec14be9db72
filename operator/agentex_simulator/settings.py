"""Everything that can be chosen about a simulator, with the documented figures as defaults."""

from dataclasses import dataclass, field
from typing import Literal

DEFAULT_ACCOUNTS = (("acct-1", "key-1"),)


@dataclass(frozen=True)
class Durations:
    """How long things take, in seconds before `Settings.time_scale` divides them (agentex-api.md section 2)."""

    queued: tuple[float, float] = (2, 5)
    running: tuple[float, float] = (110, 130)
    cancel_mark: float = 0.5
    cancel: float = 5
    pending: float = 2
    rollout: tuple[float, float] = (55, 65)
    uninstall: float = 10
    sweep: float = 60


@dataclass(frozen=True)
class Settings:
    """One simulator. Bytes, seconds and HTTP statuses; switches where agentex-api.md says unknown.

    - `time_scale` divides how long builds, rollouts and sweeps take; clocks and expiry stay real.
    - `supersede`: when an older production deployment turns superseded (section 2.2: unknown).
    - `name_taken_status`: answer to an agent_name in use (section 3: 400, 409 or 422).
    - `terminal_delete_status`: answer to deleting what is already over (section 1.5: a client error).
    - `status_case`: letters of deployment status words (section 2.2: the vocabularies disagree).
    - `environment`: which entry of environments.yaml the server picks; None takes the first (section 4: unknown).
    - `expiry_lag`: real seconds between a preview's expiry and the first sweep that removes it (section 6: unknown).
    """

    host: str = "127.0.0.1"
    port: int = 0
    prefix: str = ""
    accounts: tuple[tuple[str, str], ...] = DEFAULT_ACCOUNTS
    seed: int = 0
    max_archive: int = 500_000_000
    time_scale: float = 1
    supersede: Literal["at-create", "at-healthy"] = "at-healthy"
    name_taken_status: int = 409
    terminal_delete_status: int = 400
    status_case: Literal["upper", "lower"] = "upper"
    environment: str | None = None
    expiry_lag: float = 0
    durations: Durations = field(default_factory=Durations)
