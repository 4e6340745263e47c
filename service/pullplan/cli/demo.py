"""How does `pullplan demo` show the whole way from signals to a plan?"""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, time, timedelta
from pathlib import Path
from time import perf_counter

import click

from pullplan.cli.client import Client, Json
from pullplan.cli.dataset import Dataset
from pullplan.cli.demo_data import DEFAULT_SEED, make_demo_data
from pullplan.cli.demo_network import AS_OF
from pullplan.cli.folder import read_folder, write_folder
from pullplan.cli.loading import load
from pullplan.cli.progress import bars, rows_bar, run_bar
from pullplan.cli.report import console_for, print_summary
from pullplan.cli.service import running_service
from pullplan.cli.service_options import DAY, instant_of
from pullplan.cli.summary import names_of, summarise

_IMITATES = "A group of local breweries (invented, in real towns)"
_OWN_DATABASE = {"DATABASE_URL": ""}
"""Whatever database the environment names is left alone."""
_ENDED = "\nThe service has ended. `pullplan demo --keep` leaves it running, with the pages of its API."
_KEPT = """
The service runs until Ctrl-C; open its pages, or call it from another terminal:
  API and docs  {url}/docs
  export PULLPLAN_URL={url}
  export PULLPLAN_KEY={key}
  pullplan export latest --what shortfalls"""


class _Steps:
    """Measures what each step takes."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = perf_counter()
        yield
        self.seconds[name] = round(perf_counter() - start, 3)


@click.command()
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=DEFAULT_SEED,
    show_default=True,
    help="Another number, another two years of demand.",
)
@click.option("--small", is_flag=True, help="About a third of the network: a quick look.")
@click.option(
    "--data",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Show this folder's network instead; `pullplan import --help` says what it holds.",
)
@click.option(
    "--as-of", type=DAY, help="Plan from this day on.  [default: the day after the last signal's week]"
)
@click.option("--weeks", type=click.IntRange(1, 104), default=8, show_default=True, help="Horizon.")
@click.option("--json", "as_json", is_flag=True, help="One object for machines instead of the report.")
@click.option("--keep", is_flag=True, help="Leave the service running until Ctrl-C.")
@click.option(
    "--save-data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also write the data as a folder that `pullplan import` reads.",
)
def demo(
    *,
    seed: int,
    small: bool,
    folder: Path | None,
    as_of: datetime | None,
    weeks: int,
    as_json: bool,
    keep: bool,
    save_data: Path | None,
) -> None:
    """Show the whole way: start a service, load two years of demand, forecast, plan, explain.

    It imitates a group of local breweries: crates are too heavy to haul across a country, so what is drunk in a
    region is best brewed near it. 36 regions, 10 products and 16 breweries, one of them down; seasons, trends, rare
    sellers, a promotion, open orders, leads, stock and deliveries under way; about 144,000 daily signals.
    Everything is made from the seed and sent through the HTTP API as an ERP and shops would send it. The service
    keeps its data in a folder of its own, which is removed at the end.

    \b
    Examples:
      pullplan demo
      pullplan demo --keep                  then open the printed address in a browser
      pullplan demo --seed 7 --json | jq .nearest_share
      pullplan demo --data ./network --as-of 2022-01-03
    """  # noqa: D301 - \b is click's mark for text that is not to be wrapped
    if folder and small:
        raise click.UsageError("--small is about the demo's own network; leave it out beside --data")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # what was started is ended
    steps = _Steps()
    with steps.step("read_data" if folder else "make_data"):
        dataset = read_folder(folder) if folder else make_demo_data(seed, small=small)
        as_of = as_of or (
            _monday_after_the_last_signal(dataset) if folder else datetime.combine(AS_OF, time())
        )
    if save_data:
        write_folder(dataset, save_data)
    for note in dataset.notes:
        click.echo(f"note: {note}", err=True)
    click.echo("Starting a service of its own: PostgreSQL, API and worker …", err=True)
    with steps.step("start"), ExitStack() as started:
        service = started.enter_context(running_service(environment=_OWN_DATABASE))
        client = started.enter_context(Client(service.url, service.key))
        running = started.pop_all()
    with running:
        summary = _load_and_plan(client, dataset, steps, as_of, weeks)
        summary |= {} if folder else {"seed": seed}
        if as_json:
            click.echo(json.dumps(summary | ({"url": service.url, "key": service.key} if keep else {})))
        else:
            _print_report(client, summary, folder)
        if keep:
            click.echo(_KEPT.format(url=service.url, key=service.key), err=as_json)
            with suppress(KeyboardInterrupt):
                service.wait()
    if not (as_json or keep):
        click.echo(_ENDED)


def _load_and_plan(client: Client, dataset: Dataset, steps: _Steps, as_of: datetime, weeks: int) -> Json:
    """Load the data as an ERP and shops would, forecast, plan, and read the result back from the API."""
    network = Dataset(tuple(table for table in dataset.tables if table.collection.name != "demand_signals"))
    signals = Dataset(tuple(table for table in dataset.tables if table.collection.name == "demand_signals"))
    asked: Json = {"as_of": instant_of(client, as_of), "bucket": "week", "horizon_buckets": weeks}
    with bars() as progress:
        with steps.step("load_network"):
            load(client, network, rows_bar(progress, "ERP: network, stock", network))
        with steps.step("load_signals"):
            stored = load(client, signals, rows_bar(progress, "Shops: signals", signals))
        with steps.step("forecast"):
            run = client.run("/v1/forecasts", asked, run_bar(progress, "Forecast"))
            forecast_id = run["result"].rpartition("/")[2]
        with steps.step("plan"):
            asked["forecast_id"] = forecast_id
            run = client.run("/v1/plans", asked, run_bar(progress, "Plan"))
    with steps.step("read_back"):
        summary = {
            **{
                name: sum(1 for _ in client.items(f"/v1/{name}")) for name in ("regions", "products", "nodes")
            },
            "signals": sum(loaded.n_rows for loaded in stored.values()),
            **summarise(client, run["result"].rpartition("/")[2]),
        }
    return summary | {"seconds_by_step": steps.seconds}


def _monday_after_the_last_signal(dataset: Dataset) -> datetime:
    """Find the Monday that follows the last day on which anything was consumed or ordered."""
    days = [
        str(row[table.fields.index("occurred_at")])[:10]
        for table in dataset.tables
        if "occurred_at" in table.fields
        for _, row in table.rows()
    ]
    if not days:
        raise click.UsageError("the folder has no dated signals; say --as-of")
    last = datetime.fromisoformat(max(days))
    return last + timedelta(days=7 - last.weekday())


def _print_report(client: Client, summary: Json, folder: Path | None) -> None:
    console = console_for()
    console.print()
    console.print(f"{folder or _IMITATES}: {_counts(summary)}")
    print_summary(console, summary, names_of(client))
    seconds = ", ".join(
        f"{name.replace('_', ' ')} {taken:.1f}" for name, taken in summary["seconds_by_step"].items()
    )
    console.print(f"\nSeconds: {seconds}", style="dim")


def _counts(summary: Json) -> str:
    return (
        f"{summary['regions']} regions × {summary['products']} products, {summary['nodes']} nodes, "
        f"{summary['signals']:,} signals"
    )
