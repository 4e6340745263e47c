"""How does `pullplan import` load a folder of CSV files into a service?"""

from pathlib import Path

import click
from rich.console import Console

from pullplan.cli.folder import DEFAULT_SOURCE, read_folder
from pullplan.cli.loading import load
from pullplan.cli.progress import bars, rows_bar
from pullplan.cli.service_options import open_client, talks_to_a_service


@click.command("import")
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--source",
    default=DEFAULT_SOURCE,
    show_default=True,
    help="Names the signals of a file that has no source column.",
)
@talks_to_a_service
def import_folder(folder: Path, source: str, url: str | None, key: str | None) -> None:
    """Load a folder of CSV files; importing it again changes nothing.

    The files are named after what they hold, each may be missing, and each may be compressed (.csv.gz):

    \b
    products.csv    regions.csv              nodes.csv
    capacity.csv    capacity_exceptions.csv  capabilities.csv
    lanes.csv       policies.csv             stock_counts.csv
    open_supply.csv demand_signals.csv       node_stock_counts.csv

    Columns are the fields of the API (`pullplan openapi` lists them). Shorter files are understood too:

    \b
    code                       of products.csv, regions.csv, nodes.csv: their own code
    product, region, node      their codes, in every file
    lat, lon, quantity         latitude, longitude, units
    capacity_per_week          in nodes.csv (or weekly_capacity…): one resource `capacity`,
                               a seventh of it a day, of which every product takes 1
    date,region,product,units  as demand_signals.csv: consumption of that day; below zero, returns

    A file of the network is stored as a whole or not at all, signals by batches of 5,000 lines. What is refused is
    named by file, line and field.

    \b
    Examples:
      pullplan import ./network
      pullplan import ./tills --source shop-17 --url https://plan.example.com --key pp_…
    """  # noqa: D301 - \b is click's mark for text that is not to be wrapped
    dataset = read_folder(folder, source)
    console = Console(stderr=True)
    for note in dataset.notes:
        console.print(f"note: {note}", style="yellow", highlight=False)
    with open_client(url, key) as client, bars() as progress:
        stored = load(client, dataset, rows_bar(progress, "Import", dataset))
    for name, loaded in stored.items():
        known = f", {loaded.n_known:,} of them known already" if loaded.n_known else ""
        click.echo(f"{loaded.n_rows:>10,} {name.replace('_', ' ')}{known}")
