"""`python -m tests.model`: search every configuration, let every mutant be caught; or replay one counterexample."""

from __future__ import annotations

import click
from tests.model.check import Checked, command, peak_memory, search, trace
from tests.model.configurations import FULL_ONE, FULL_TWO, MODEL
from tests.model.coverage import all_rules, noting_who_answers, outdated, silent
from tests.model.mutants import BASELINES, MUTANTS, Mutant
from tests.model.states import Configuration


@click.command()
@click.option("--full", is_flag=True, help="The large configurations too; takes long.")
@click.option("--only", help="Search this configuration alone, for example build:1:K4:crash=1,late=1.")
@click.option("--most", type=int, help="Give up a search after so many states.")
@click.option("--replay", help="Show a counterexample of this configuration.")
@click.option("--mutant", default="", help="With the production rules changed like this.")
@click.option("--path", help="The choices to replay, as the counterexample printed them.")
def main(full: bool, only: str | None, most: int | None, replay: str | None, mutant: str, path: str | None) -> None:
    """Check the create protocol by trying everything."""
    if replay is not None:
        click.echo("\n".join(trace(replay, mutant, tuple(map(int, (path or "").split("."))))))
    elif only is not None:
        _say(search(only, mutant, most))
    else:
        larger = (*FULL_ONE, *FULL_TWO) if full else ()
        _check_all(tuple(dict.fromkeys((*MODEL, *BASELINES, *larger))), most)


def _check_all(configurations: tuple[str, ...], most: int | None) -> None:
    """Every configuration, every rule, every mutant, and the line that says how it went."""
    with noting_who_answers() as answered:
        checked = [_say(search(one, most=most)) for one in configurations]
    _say_sums(checked)
    covered = _covers(answered)
    clean = {one.configuration for one in checked if one.result.clean}
    killed = sum([_kill(mutant, clean) for mutant in MUTANTS])
    states = sum(one.result.states for one in checked)
    violations = sum(one.result.counterexample is not None for one in checked)
    click.echo(f"model: {states} states, {killed}/{len(MUTANTS)} mutants killed, {violations} violations")
    if violations or killed < len(MUTANTS) or not covered:
        raise SystemExit(1)


def _covers(answered: set[str]) -> bool:
    """Whether every rule answers in some search, or tests/model/coverage.py says why it cannot."""
    missing, wrong = silent(answered), outdated(answered)
    click.echo(f"{len(answered)} of {len(all_rules())} rules answer")
    for rule in missing:
        click.echo(f"   NO SEARCH REACHES {rule}: add a configuration, or a reason to tests/model/coverage.py")
    for rule in wrong:
        click.echo(f"   NOT OUT OF REACH: {rule}")
    return not missing and not wrong


def _say(checked: Checked) -> Checked:
    click.echo(checked.line)
    _show(checked)
    return checked


def _show(checked: Checked) -> None:
    found = checked.result.counterexample
    if found is not None:
        click.echo(f"   {found.violation}, after {len(found.path)} steps:")
        click.echo("\n".join(f"   {line}" for line in trace(checked.configuration, checked.mutant, found.path)))
        click.echo(f"   {command(checked, found)}\n")


def _say_sums(checked: list[Checked]) -> None:
    for replicas in (1, 2):
        mine = [one.result.states for one in checked if Configuration.parse(one.configuration).replicas == replicas]
        click.echo(f"{sum(mine):,} states with {replicas} replica{'s' if replicas > 1 else ''}")
    click.echo(f"at most {peak_memory():.2f} GiB of memory")


def _kill(mutant: Mutant, clean: set[str]) -> bool:
    """Whether each of the mutant's searches notices it as it must, and was clean without it."""
    checked = [search(one, mutant.name) for one in mutant.searches]
    killed = all(mutant.is_noticed(one.result.counterexample) and one.configuration in clean for one in checked)
    click.echo(f"{mutant.name}: {mutant.says}: {'killed' if killed else 'NOT KILLED'}")
    for one in checked:
        click.echo(f"   {one.line}{'' if one.configuration in clean else '  (PROVES NOTHING: not clean unmutated)'}")
        _show(one)
    return killed


if __name__ == "__main__":
    main()
