"""Settings from flags and environment, and how a wrong one is said."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agentex_operator.cli import main
from agentex_operator.settings import Settings, format_duration, parse_duration

FLAGS = [parameter for parameter in main.commands["run"].params if parameter.name != "help"]


def settings_of(*flags: str, **environment: str) -> Settings:
    """What `run` would make of them."""
    command = main.commands["run"]
    prefixed = {f"AGENTEX_OPERATOR_{name}": value for name, value in environment.items()}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in prefixed.items():
            patch.setenv(name, value)
        return Settings(**command.make_context("run", list(flags)).params)


def refused(*flags: str) -> Result:
    return CliRunner().invoke(main, ["run", *flags])


def test_nothing_said_is_the_defaults() -> None:
    assert settings_of() == Settings()


def test_every_setting_has_a_flag_a_variable_and_words() -> None:
    by_name = {flag.name: flag for flag in FLAGS}

    assert set(by_name) == set(Settings.__dataclass_fields__)
    for name, flag in by_name.items():
        assert flag.envvar == f"AGENTEX_OPERATOR_{name.upper()}"
        assert flag.opts == ["--" + name.replace("_", "-")]
        assert getattr(flag, "help", "").endswith(".")


def test_flags_win_over_the_environment() -> None:
    settings = settings_of(
        "--workers=3", WORKERS="7", RESYNC="1h30m", WATCH_NAMESPACES="a, b", ALLOW_HTTP_ENDPOINTS="1"
    )

    assert (settings.workers, settings.resync) == (3, timedelta(minutes=90))
    assert settings.watch_namespaces == ("a", "b")
    assert settings.allow_http_endpoints
    assert settings_of("--kubeconfig=/k", "--context=c").kubeconfig == Path("/k")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--workers=0"], "--workers"),
        (["--resync=soon"], "write it like 30s, 5m or 1h30m"),
        (["--resync=0s"], "--resync wants more than zero"),
        (["--health-port=70000"], "--health-port"),
        (["--log-format=xml"], "json"),
        (["--context=c"], "--context wants a --kubeconfig"),
        (["--allowed-endpoints=https://a"], "--allowed-endpoints wants HOST, HOST:PORT or *.DOMAIN"),
        (["--allowed-source-hosts=http://a"], "--allowed-source-hosts wants HOST:PORT"),
        (["--unknown"], "No such option"),
    ],
)
def test_a_wrong_value_is_said_with_its_flag_and_what_it_wants(flags: list[str], said: str) -> None:
    result = refused(*flags)

    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize("text", ["90s", "5m", "250ms", "1h30m", "0s", "1.5s", "2d"])
def test_durations_are_read_and_written_back(text: str) -> None:
    span = parse_duration(text)

    assert parse_duration(format_duration(span)) == span


@pytest.mark.parametrize("text", ["", "5", "5 m", "-5m", "5mm", "m5", "1e3s", "٣s!"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        parse_duration(text)


@pytest.mark.parametrize("command", ["version", "--version"])
def test_the_version_is_printed(command: str) -> None:
    result = CliRunner().invoke(main, [command])

    assert result.exit_code == 0
    assert re.search(r"\d+\.\d+\.\d+", result.output)
