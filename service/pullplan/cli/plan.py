"""How does `pullplan plan` make a plan and show it?"""

import json
from datetime import datetime

import click

from pullplan.cli.client import Json
from pullplan.cli.plan_choice import chosen_plan_id
from pullplan.cli.progress import bars, run_bar
from pullplan.cli.report import console_for, print_summary
from pullplan.cli.service_options import DAY, instant_of, open_client, talks_to_a_service
from pullplan.cli.summary import names_of, summarise
from pullplan.cli.verify import told_of


@click.command()
@click.option(
    "--as-of", type=DAY, help="Plan from this day or time on; later signals are not read.  [default: now]"
)
@click.option(
    "--weeks", type=click.IntRange(1, 104), help="Horizon.  [default: 8, or the parent's in its own buckets]"
)
@click.option(
    "--objective",
    type=click.Choice(["nearest", "landed_cost"]),
    help="What is least after shortfall and lateness.  [default: nearest, or the parent's]",
)
@click.option("--parent", metavar="PLAN", help="Re-plan this plan: what it says stays where it can.")
@click.option(
    "--churn-units",
    type=click.FloatRange(0),
    help="The most units that a re-plan may move.  [default: any number]",
)
@click.option(
    "--least-saving",
    type=click.FloatRange(0),
    help="What each of them must save of the objective's measure.  [default: 0]",
)
@click.option(
    "--share-slices",
    type=click.IntRange(1, 100),
    help="Where not all can be served, equal ranks share to within one of so many slices of a need; 1: no sharing.  "
    "[default: 10, or the parent's]",
)
@click.option(
    "--pool-km",
    type=click.FloatRange(0, 40_000),
    help="Let regions send each other stock that they need for nothing, so far at most.  [default: not at all]",
)
@click.option(
    "--solve-seconds",
    "solve_seconds_max",
    type=click.FloatRange(0, 86_400, min_open=True),
    help="Take the best plan found by then, with its bounds.  [default: the best there is]",
)
@click.option(
    "--make-minimum",
    is_flag=True,
    help="Make a minimum lot even where it exceeds all that is left to make of its product.",
)
@click.option(
    "--verify",
    "is_verified",
    is_flag=True,
    help="Check what was stored, without the solver; a plan in which anything is wrong is not kept.",
)
@click.option("--json", "as_json", is_flag=True, help="One object for machines instead of the report.")
@talks_to_a_service
def plan(
    *,
    as_of: datetime | None,
    weeks: int | None,
    objective: str | None,
    share_slices: int | None,
    pool_km: float | None,
    solve_seconds_max: float | None,
    parent: str | None,
    churn_units: float | None,
    least_saving: float | None,
    make_minimum: bool,
    is_verified: bool,
    as_json: bool,
    url: str | None,
    key: str | None,
) -> None:
    """Make a plan of all demand that the service knows, and show what a planner reads first.

    \b
    Examples:
      pullplan plan
      pullplan plan --as-of 2026-04-13 --weeks 12 --objective landed_cost
      pullplan plan --share-slices 1
      pullplan plan --pool-km 200
      pullplan plan --parent latest --churn-units 500 --least-saving 20
      pullplan plan --verify
      pullplan plan --json | jq .nearest_share
    """  # noqa: D301 - \b is click's mark for text that is not to be wrapped
    with open_client(url, key) as client:
        asked = {
            "horizon_buckets": weeks,
            "objective": objective,
            "share_slices": share_slices,
            "pool_regions_within_km": pool_km,
            "solve_seconds_max": solve_seconds_max,
            "parent_plan_id": parent and chosen_plan_id(client, parent),
            "churn_budget_units": churn_units,
            "least_saving_per_unit": least_saving,
            "make_minimum": make_minimum or None,
            "verify": is_verified or None,
        }
        parameters: Json = {} if parent else {"bucket": "week"}
        parameters |= {name: value for name, value in asked.items() if value is not None}
        if as_of:
            parameters["as_of"] = instant_of(client, as_of)
        with bars() as progress:
            run = client.run("/v1/plans", parameters, run_bar(progress, "Plan"))
        summary = summarise(client, run["result"].rpartition("/")[2])
        found = None
        if is_verified:
            found = client.get(f"{run['result']}/verifications/{run['run_id']}")
        if as_json:
            click.echo(json.dumps(summary if found is None else {**summary, "verification": found}))
            return
        console = console_for()
        print_summary(console, summary, names_of(client))
        if found is not None:
            console.print("\n" + "\n".join(told_of(found)), highlight=False)
        console.print(f"\nEvery line of it: pullplan export {summary['plan_id']} --what assignments")
        if parent:
            console.print(f"What it changes: pullplan diff parent {summary['plan_id']}")
