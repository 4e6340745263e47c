"""How does `pullplan replay` live through history under several policies, and show how each fared?"""

import asyncio
import json
from collections.abc import Sequence
from datetime import date, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import click
import msgspec
from rich.table import Table

from pullplan.cli.client import Json
from pullplan.cli.database_access import connected, reached_database
from pullplan.cli.progress import bars
from pullplan.cli.report import console_for
from pullplan.engine.model import PullPolicy
from pullplan.engine.model.words import PullPolicyName
from pullplan.engine.replay import Replay, ReplayPolicy, Unmet, add_up
from pullplan.settings import read_settings
from pullplan.workflows.replay import ReplayRequest
from pullplan.workflows.replay import replay as replay_history

STORED = "stored"
_SHORT_NAMES = {"service_level": "service_level_share"}
_UNMET: tuple[str, ...] = get_args(Unmet.__value__)
_DAY = click.DateTime(["%Y-%m-%d"])


class _PolicyType(click.ParamType[ReplayPolicy]):
    """`base_stock:service_level=0.95,unmet=backorder`, or `stored`."""

    name = "policy"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> ReplayPolicy:  # what click asks for
        name, _, said = str(value).partition(":")
        fields: dict[str, str] = {}
        for setting in filter(None, said.split(",")):
            field, equals, text = setting.partition("=")
            if not equals:
                self.fail(f"{value!r}: {setting!r} is not FIELD=VALUE", param, ctx)
            fields[_SHORT_NAMES.get(field, field)] = text
        unmet = fields.pop("unmet", None)
        if unmet not in {None, *_UNMET}:
            self.fail(f"{value!r}: unmet is {' or '.join(_UNMET)}, not {unmet!r}", param, ctx)
        if name == STORED and fields:
            self.fail(f"{value!r}: stored policies have their own {', '.join(fields)}", param, ctx)
        try:
            policy = (
                None
                if name == STORED
                else msgspec.convert({**fields, "policy": name}, PullPolicy, strict=False)
            )
        except msgspec.ValidationError as error:
            names = ", ".join((*get_args(PullPolicyName), STORED))
            self.fail(f"{value!r}: {error}; policies are {names}, their fields those of the API", param, ctx)
        return msgspec.convert({"name": str(value), "policy": policy, "unmet": unmet}, ReplayPolicy)


@click.command()
@click.option("--from", "from_date", type=_DAY, required=True, help="Day of the first week to report.")
@click.option("--to", "until_date", type=_DAY, required=True, help="First day that is not replayed.")
@click.option(
    "--policy",
    "policies",
    type=_PolicyType(),
    multiple=True,
    required=True,
    help="How every product × region pulls: a policy of the API with its fields, such as "
    "base_stock:service_level=0.95,unmet=backorder; or `stored`. Several times: side by side.",
)
@click.option(
    "--weeks", type=click.IntRange(1, 104), default=8, show_default=True, help="Horizon of each plan."
)
@click.option(
    "--refit-every",
    type=click.IntRange(1, 52),
    default=4,
    show_default=True,
    help="Weeks between forecasts; those in between are what the last one said of later weeks.",
)
@click.option(
    "--warm-up",
    type=click.IntRange(0, 104),
    default=8,
    show_default=True,
    help="Weeks before the first that are lived through, but not reported.",
)
@click.option(
    "--plot",
    "picture",
    type=click.Path(dir_okay=False, path_type=Path),
    help="PNG to write: service, stock and production, week by week.",
)
@click.option("--json", "as_json", is_flag=True, help="One object for machines, week by week too.")
def replay(
    *,
    from_date: datetime,
    until_date: datetime,
    policies: tuple[ReplayPolicy, ...],
    weeks: int,
    refit_every: int,
    warm_up: int,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Live through history again, week by week, and show how each policy would have fared.

    Every week is forecast, netted and assigned by what was known at its first instant, then lived through: work that
    starts in it arrives after making and transit, serves its region, and what was really demanded is taken. Each
    policy has stock of its own; nothing is stored. Ctrl-C reports what is done by then.

    Demand that finds nothing is lost, as in a shop; made to order, it waits and is served late. `unmet=lost` and
    `unmet=backorder` say otherwise.

    What is approximated: the network is as it is today, forecasts are quick ones made every --refit-every weeks, goods
    do not expire on the shelf, and signals that were corrected later are seen as corrected.

    Works on the service's database (DATABASE_URL, or PULLPLAN_DATA), beside a running service or alone.

    \b
    Examples:
      pullplan replay --from 2025-01-06 --to 2026-01-05 --policy stored
      pullplan replay --from 2025-01-06 --to 2026-01-05 --plot policies.png \\
          --policy make_to_order --policy base_stock:service_level=0.95 --policy ddmrp_buffer
    """  # noqa: D301 - \b is click's mark for text that is not to be wrapped
    first, until = from_date.date(), until_date.date()
    if first >= until:
        raise click.UsageError(f"--from {first} must be before --to {until}")
    if len({policy.name for policy in policies}) < len(policies):
        raise click.UsageError("--policy: each is to be named once")
    if picture is not None:
        _check_for_matplotlib()
    request = ReplayRequest(
        from_date=first,
        until_date=until,
        policies=policies,
        horizon_buckets=weeks,
        refit_every_buckets=refit_every,
        warm_up_buckets=warm_up,
    )
    told = _told_of(_run(request), request)
    if picture is not None:
        from pullplan.cli.replay_picture import draw_replays  # noqa: PLC0415 - matplotlib is optional

        draw_replays(told, picture)
        click.echo(f"{picture}: {', '.join(told)}", err=True)
    if as_json:
        click.echo(json.dumps(told))
    else:
        console_for().print(_table(told))


def _run(request: ReplayRequest) -> Sequence[Replay]:
    """Replay until the end or an interrupt.

    Raises: click.ClickException where not a week was done by then.
    """
    settings, done = read_settings(), list[Replay]()
    with bars() as progress, reached_database(settings) as url:
        task = progress.add_task("Replay", total=1.0, note="")

        def after_bucket(replays: Sequence[Replay], n_done: int, n_buckets: int) -> None:
            done[:] = replays
            day = replays[0].results[-1].first_date
            progress.update(task, completed=n_done, total=n_buckets, note=f"week of {day}")

        async def run() -> None:
            async with connected(url) as connection:
                await replay_history(connection, request, settings.time_zone, after_bucket)

        try:
            asyncio.run(run())
        except KeyboardInterrupt:
            if not done or done[0].results[-1].first_date < request.first_reported_date:
                raise click.ClickException("interrupted before a week could be reported") from None
            click.echo(f"Interrupted: reported up to the week of {done[0].results[-1].first_date}.", err=True)
    return done


def _told_of(replays: Sequence[Replay], request: ReplayRequest) -> dict[str, Json]:
    """Tell figures and weeks of each policy, the warm-up left out."""
    told = {}
    for one in replays:
        results = [r for r in one.results if r.first_date >= request.first_reported_date]
        told[one.name] = {**msgspec.to_builtins(add_up(results)), "buckets": msgspec.to_builtins(results)}
    return told


def _table(told: dict[str, Json]) -> Table:
    """Set the policies' figures side by side."""
    columns = list(told.values())
    weeks = [bucket["first_date"] for bucket in columns[0]["buckets"]]
    title = f"{len(weeks)} weeks, {date.fromisoformat(weeks[0])} to {date.fromisoformat(weeks[-1])}"
    table = Table(
        box=None, padding=(0, 3, 0, 0), header_style="dim", pad_edge=False, title=title, title_justify="left"
    )
    table.add_column("")
    for name in told:
        table.add_column(name.replace(":", ":\n").replace(",", ",\n"), justify="right")
    for words, field, form in _ROWS:
        table.add_row(words, *("–" if c[field] is None else format(c[field], form) for c in columns))
    return table


_ROWS = (
    ("served in its week", "in_time_share", ".1%"),
    ("served late, or still owed", "late_share", ".1%"),
    ("lost", "lost_share", ".1%"),
    ("demanded, units", "demanded_units", ",.0f"),
    ("started, units", "ordered_units", ",.0f"),
    ("mean stock, units", "mean_stock_units", ",.0f"),
    ("mean stock, value", "mean_stock_value", ",.0f"),
    ("mean stock, weeks of demand", "stock_buckets", ".2f"),
    ("orders", "n_orders", ",d"),
    ("mean order, units", "mean_order_units", ",.1f"),
    ("changed from plan to plan", "replanned_share", ".0%"),
    ("bullwhip ratio", "bullwhip_ratio", ".2f"),
    ("unit-kilometres", "unit_km", ",.0f"),
    ("kilometres per unit", "km_per_unit", ".1f"),
)


def _check_for_matplotlib() -> None:
    if find_spec("matplotlib") is None:
        raise click.ClickException(
            "drawing needs matplotlib, which is not installed: `uv pip install --group plot`, "
            "or `pip install matplotlib`"
        )
