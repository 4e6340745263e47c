"""How does `pullplan ledger` show where what is demanded comes from?"""

import click

from pullplan.api.wording import say_units
from pullplan.cli.client import Json
from pullplan.cli.plan_choice import chosen_plan_id
from pullplan.cli.service_options import open_client, talks_to_a_service

_TOTALLED_BY = ("tier", "bucket", "product", "region")
_COLUMNS = {
    "demanded_units": "demanded",
    "from_stock_units": "stock",
    "from_supply_units": "supply",
    "from_buffer_units": "buffer",
    "from_node_stock_units": "node stock",
    "from_region_stock_units": "region stock",
    "assigned_units": "assigned",
    "shortfall_units": "short",
}
_WIDTH = 13
_ROUNDING_SHARE = 1e-6
"""Of what is demanded: less is what netting leaves out."""


@click.command()
@click.argument("plan_id", metavar="PLAN")
@click.option(
    "--by",
    type=click.Choice(_TOTALLED_BY),
    default=_TOTALLED_BY[0],
    show_default=True,
    help="What to add up by.",
)
@talks_to_a_service
def ledger(*, plan_id: str, by: str, url: str | None, key: str | None) -> None:
    """Show where every demanded unit of a plan comes from; PLAN is a plan_id, or `latest`.

    A unit is in stock, in open supply, made for an earlier bucket's buffer and free by then, sent from a node's stock or
    another region's, newly assigned, or short: what is
    demanded and is none of these would be a defect, and ends with 1. `pullplan export --what ledger` writes every line.

    \b
    Examples:
      pullplan ledger latest
      pullplan ledger latest --by product
      pullplan export latest --what ledger > ledger.csv
    """  # noqa: D301 - \b is click's mark for text that is not to be wrapped
    with open_client(url, key) as client:
        path = f"/v1/plans/{chosen_plan_id(client, plan_id)}/ledger-totals"
        totals = list(client.items(path, totalled_by=by))
        whole = next(client.items(path, totalled_by="all"), None)
    if whole is None:
        click.echo("Nothing is demanded.")
        return
    width = max(len(by), *(len(total["code"]) for total in totals))
    click.echo(by.ljust(width) + "".join(name.rjust(_WIDTH) for name in _COLUMNS.values()))
    for total in [*totals, whole]:
        click.echo(_row(total, width))
    for shortfall in whole["shortfalls"]:
        click.echo(f"short {shortfall['reason'].replace('_', ' ')}: {say_units(shortfall['units'])}")
    if abs(whole["unaccounted_units"]) > _ROUNDING_SHARE * max(1.0, whole["demanded_units"]):
        raise click.ClickException(f"{whole['unaccounted_units']:.6g} units come from nowhere")


def _row(total: Json, width: int) -> str:
    code = total["code"] or "all"
    return code.ljust(width) + "".join(say_units(total[name]).rjust(_WIDTH) for name in _COLUMNS)
