"""Which commands are there? Each is imported only when it is called, so that help is quick."""

from importlib import import_module
from typing import NamedTuple

import click

from pullplan import __version__
from pullplan.engine.errors import PullplanError


class _Place(NamedTuple):
    """Where a command is (`module:name`), and the line that the list of commands shows."""

    target: str
    summary: str


COMMANDS = {
    "demo": _Place(
        "pullplan.cli.demo:demo", "Show the whole way, from two years of demand to a plan with its reasons."
    ),
    "serve": _Place(
        "pullplan.cli.serve:serve", "Start the service: API, worker and, unless yours is named, PostgreSQL."
    ),
    "import": _Place(
        "pullplan.cli.import_folder:import_folder", "Load a folder of CSV files into a running service."
    ),
    "plan": _Place("pullplan.cli.plan:plan", "Make a plan and show what a planner reads first."),
    "forecast": _Place(
        "pullplan.cli.forecast:forecast", "Make a forecast, say how good it is, and draw a series of it."
    ),
    "replay": _Place(
        "pullplan.cli.replay:replay", "Live through history again under several policies, side by side."
    ),
    "export": _Place("pullplan.cli.export:export", "Write the lines of a plan as CSV or JSON lines."),
    "ledger": _Place("pullplan.cli.ledger:ledger", "Show where what is demanded comes from."),
    "diff": _Place("pullplan.cli.diff:diff", "Show what one plan makes elsewhere than another, and why."),
    "verify": _Place(
        "pullplan.cli.verify:verify", "Check a stored plan against its facts, without the solver."
    ),
    "work": _Place("pullplan.cli.work:work", "Compute runs from the queue; start as many as you want."),
    "migrate": _Place("pullplan.cli.migrate:migrate", "Bring the database's schema up to date."),
    "keys": _Place("pullplan.cli.keys:keys", "Create, list and retire API keys."),
    "openapi": _Place(
        "pullplan.cli.openapi:openapi", "Write the OpenAPI document, or check the committed one."
    ),
}


class _Commands(click.Group):
    """Commands by place instead of by import; a PullplanError in any of them is a message, not a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].target.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.summary) for name, place in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except PullplanError as error:
            raise click.ClickException(error.detail) from error


@click.group(cls=_Commands)
@click.version_option(__version__, prog_name="pullplan")
def main() -> None:
    """Plan production in a network of many small local plants, from demand to plan.

    Settings come from the environment (DATABASE_URL, PULLPLAN_DATA, PULLPLAN_PORT, …; see the README). Without a
    DATABASE_URL, pullplan brings its own PostgreSQL and keeps its data under PULLPLAN_DATA.
    """
