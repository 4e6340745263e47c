"""How does `pullplan forecast` make a forecast, say how good it is, and draw a series of it?"""

import json
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path

import click

from pullplan.cli.client import Client, Json
from pullplan.cli.progress import bars, run_bar
from pullplan.cli.service_options import DAY, instant_of, open_client, talks_to_a_service

LATEST = "latest"


@click.command()
@click.argument("forecast_id", metavar="[FORECAST]", required=False)
@click.option(
    "--as-of", type=DAY, help="Forecast from this day on; later signals are not read.  [default: now]"
)
@click.option("--weeks", type=click.IntRange(1, 104), default=8, show_default=True, help="Horizon.")
@click.option(
    "--refresh",
    is_flag=True,
    help="Make anew only what has news since the last forecast; where a week has begun since, models go on as they are.",
)
@click.option(
    "--plot",
    "plotted",
    metavar="PRODUCT/REGION",
    help="Draw history, quantiles and backtest of one series; of the newest forecast, where none is named.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="PNG to write.  [default: PRODUCT_REGION.png]",
)
@click.option(
    "--totals",
    "totalled_by",
    type=click.Choice(["product", "region", "all"]),
    help="Show what the series add up to, and how accurate that is; of the newest forecast, where none is named.",
)
@click.option("--json", "as_json", is_flag=True, help="One object for machines instead of sentences.")
@talks_to_a_service
def forecast(
    *,
    forecast_id: str | None,
    as_of: datetime | None,
    weeks: int,
    refresh: bool,
    plotted: str | None,
    output: Path | None,
    totalled_by: str | None,
    as_json: bool,
    url: str | None,
    key: str | None,
) -> None:
    """Make a forecast and say how good it is; or show FORECAST, a forecast_id or `latest`.

    \b
    Examples:
      pullplan forecast
      pullplan forecast --refresh
      pullplan forecast latest --json | jq .measures
      pullplan forecast --plot LAGER/HAMBURG
      pullplan forecast --totals product
      pullplan forecast 0193c0de-… --plot LAGER/HAMBURG --output lager.png
    """  # noqa: D301 - \b is click's mark for text that is not to be wrapped
    product_code, slash, region_code = (plotted or "").partition("/")
    if refresh and forecast_id:
        raise click.UsageError("--refresh makes a forecast; FORECAST shows one that there is")
    if plotted and not (product_code and slash and region_code):
        raise click.UsageError("--plot takes PRODUCT/REGION, such as LAGER/HAMBURG")
    with open_client(url, key) as client:
        if forecast_id or totalled_by or (plotted and not refresh):
            forecast_id = _chosen_forecast_id(client, forecast_id or LATEST)
        else:
            asked: Json = {"bucket": "week", "horizon_buckets": weeks, "refresh": refresh}
            if as_of:
                asked["as_of"] = instant_of(client, as_of)
            with bars() as progress:
                run = client.run("/v1/forecasts", asked, run_bar(progress, "Forecast"))
            forecast_id = run["result"].rpartition("/")[2]
        if plotted:
            path = output or Path(f"{product_code}_{region_code}.png")
            _draw(client, forecast_id, product_code, region_code, path)
            click.echo(f"{path}: {plotted} in forecast {forecast_id}", err=True)
            return
        if totalled_by:
            totals = _totals(client, forecast_id, totalled_by)
            click.echo(json.dumps(totals) if as_json else "\n".join(_told_of_totals(totals)))
            return
        stored = client.get(f"/v1/forecasts/{forecast_id}")
        stored["classes"] = dict(
            Counter(s["demand_class"] for s in client.items(f"/v1/forecasts/{forecast_id}/series"))
        )
    click.echo(json.dumps(stored) if as_json else "\n".join(_told_of(stored)))


def _chosen_forecast_id(client: Client, forecast_id: str) -> str:
    if forecast_id != LATEST:
        return forecast_id
    newest_first = client.get("/v1/forecasts", limit=1)["items"]
    if not newest_first:
        raise click.ClickException("there is no forecast yet; make one with `pullplan forecast`")
    return str(newest_first[0]["forecast_id"])


def _totals(client: Client, forecast_id: str, totalled_by: str) -> list[Json]:
    """Read each total with its values."""
    values: dict[str, list[Json]] = defaultdict(list)
    for row in client.items(f"/v1/forecasts/{forecast_id}/total-values", totalled_by=totalled_by):
        values[row["code"]].append(row)
    return [
        {**total, "values": values[total["code"]]}
        for total in client.items(f"/v1/forecasts/{forecast_id}/totals", totalled_by=totalled_by)
    ]


def _told_of_totals(totals: list[Json]) -> list[str]:
    """Lay totals out, with what is next and how far off it would have been."""
    told = [f"{'total':<16} {'next mean':>12} {'p10':>12} {'p90':>12} {'WAPE':>7} {'inside':>7}  method"]
    for total in totals:
        first, accuracy = total["values"][0], total["accuracy"]
        units = "".join(f" {first[name]:>12,.1f}" for name in ("mean_units", "p10_units", "p90_units"))
        shares = "".join(f" {_share(accuracy[name]):>7}" for name in ("wape_share", "coverage_share"))
        told.append(
            f"{total['code'] or 'everything':<16}{units}{shares}  {total['method'].replace('_', ' ')}"
        )
    return told


def _draw(client: Client, forecast_id: str, product_code: str, region_code: str, path: Path) -> None:
    of_series = {"product_code": product_code, "region_code": region_code}
    series, history, values, backtest, candidates = (
        list(client.items(f"/v1/forecasts/{forecast_id}/{name}", **of_series))
        for name in ("series", "history", "values", "backtest", "candidates")
    )
    if not series:
        raise click.ClickException(
            f"forecast {forecast_id} has no series {product_code}/{region_code}; "
            f"GET /v1/forecasts/{forecast_id}/series lists them"
        )
    try:
        from pullplan.cli.forecast_picture import SeriesRead, draw_series  # noqa: PLC0415 - matplotlib is optional
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise click.ClickException(
            "drawing needs matplotlib, which is not installed: `uv pip install --group plot`, "
            "or `pip install matplotlib`"
        ) from None
    draw_series(SeriesRead(series[0], history, values, backtest, candidates), path)


def _told_of(stored: Json) -> list[str]:
    """Word how good a forecast would have been."""
    measures = stored["measures"]
    classes = ", ".join(f"{n} {name}" for name, n in sorted(stored["classes"].items())) or "no series"
    head = f"Forecast {stored['forecast_id']} as of {stored['as_of'][:10]}"
    reach = f"{stored['n_steps']} {stored['bucket']}s from {stored['first_bucket_date']} on"
    told = [f"{head}: {reach}; {classes}."]
    if stored["base_forecast_id"] is not None:
        told.append(
            f"{stored['n_refreshed_series']} series had news and were made anew; the others, and all measures below, are "
            f"those of forecast {stored['base_forecast_id']}."
        )
    if stored["rolled_from_forecast_id"] is not None:
        told.append(
            f"Models go on as in forecast {stored['rolled_from_forecast_id']}, whose measures are shown below; "
            f"for {stored['n_refitted_series']} drifted series they were chosen anew."
        )
    if measures["wape_share"] is None:
        return [*told, "There is too little history to say how good it is."]
    told.append(
        f"From {measures['n_origins']} origins in the past it would have missed {measures['wape_share']:.1%} of demand "
        f"(seasonal naive {_share(measures['naive_wape_share'])}), with a bias of {measures['bias_share']:+.1%}."
    )
    if measures["coverage_share"] is not None:
        told.append(f"Of what came, {measures['coverage_share']:.1%} lay between p10 and p90.")
    experience = stored["experience"]
    if experience["wape_share"] is not None:
        told.append(
            f"The forecasts in force in the last {experience['n_buckets']} {stored['bucket']}s missed "
            f"{experience['wape_share']:.1%} of what came, with a bias of {experience['bias_share']:+.1%}; "
            f"{experience['n_drifted_series']} series have drifted."
        )
    return told


def _share(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
