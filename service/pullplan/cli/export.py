"""How does `pullplan export` write a plan's lines to a file?"""

import sys
from pathlib import Path

import click

from pullplan.cli.plan_choice import chosen_plan_id
from pullplan.cli.service_options import open_client, talks_to_a_service

_MEDIA_TYPES = {
    "csv": "text/csv",
    "ndjson": "application/x-ndjson",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_LISTS = ("assignments", "needs", "shortfalls", "ledger", "production-orders", "prices", "loads")


@click.command()
@click.argument("plan_id", metavar="PLAN")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(list(_MEDIA_TYPES)),
    default="csv",
    show_default=True,
    help="A table with a header line, one JSON object a line, or a workbook for spreadsheets.",
)
@click.option(
    "--what", type=click.Choice(_LISTS), default=_LISTS[0], show_default=True, help="Which of its lists."
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write.  [default: standard output]",
)
@talks_to_a_service
def export(
    *, plan_id: str, file_format: str, what: str, output: Path | None, url: str | None, key: str | None
) -> None:
    """Write the lines of a plan as CSV, as JSON lines or as a workbook; PLAN is a plan_id, or `latest`.

    \b
    Examples:
      pullplan export latest > assignments.csv
      pullplan export latest --what shortfalls --format ndjson | jq .reason
      pullplan export 0193c0de-… --what needs --format xlsx --output needs.xlsx
    """  # noqa: D301 - \b is click's mark for text that is not to be wrapped
    if output is None and file_format == "xlsx":
        raise click.UsageError("--format xlsx: name the workbook with --output")
    with open_client(url, key) as client:
        plan_id = chosen_plan_id(client, plan_id)
        path = f"/v1/plans/{plan_id}/{what}"
        if output is None:
            client.download(path, _MEDIA_TYPES[file_format], sys.stdout.buffer)
            return
        with output.open("wb") as file:
            client.download(path, _MEDIA_TYPES[file_format], file)
        click.echo(f"{output}: {what} of plan {plan_id}", err=True)
