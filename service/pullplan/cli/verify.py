"""How does `pullplan verify` check a stored plan and say what it found?"""

import json
import sys

import click

from pullplan.cli.client import Json
from pullplan.cli.plan_choice import chosen_plan_id
from pullplan.cli.progress import bars, run_bar
from pullplan.cli.service_options import open_client, talks_to_a_service

_SHOWN_FINDINGS = 20


@click.command()
@click.argument("plan_id", metavar="PLAN")
@click.option("--json", "as_json", is_flag=True, help="One object for machines instead of sentences.")
@talks_to_a_service
def verify(*, plan_id: str, as_json: bool, url: str | None, key: str | None) -> None:
    """Check a stored plan against the facts it was made from; PLAN is a plan_id, or `latest`.

    A checker without a solver adds everything up anew: each need covered, no capacity exceeded, only nodes that
    may, each stage's bound from its prices alone. Ends with 1 when anything is wrong.

    \b
    Examples:
      pullplan verify latest
      pullplan verify 0193c0de-… --json | jq .findings
    """  # noqa: D301 - \b is click's mark for text that is not to be wrapped
    with open_client(url, key) as client:
        plan_id = chosen_plan_id(client, plan_id)
        with bars() as progress:
            run = client.run(f"/v1/plans/{plan_id}/verify", None, run_bar(progress, "Verification"))
        found = client.get(run["result"])
    if as_json:
        click.echo(json.dumps(found))
    else:
        click.echo("\n".join(told_of(found)))
    sys.exit(0 if found["valid"] else 1)


def told_of(found: Json) -> list[str]:
    """Word a verification, line by line."""
    checked = found["checked"]
    told = [
        f"Plan {found['plan_id']} is {'valid' if found['valid'] else 'NOT valid'}.",
        (
            f"Checked: {checked['n_needs']:,} needs, {checked['n_assignments']:,} assignments, "
            f"{checked['n_shortfalls']:,} shortfalls, {checked['n_capacities']:,} capacities; "
            f"each bound over {checked['n_options']:,} options under {checked['n_prices']:,} prices."
        ),
        *(
            f"  {stage['measure']}: {stage['value']:,.6g}, proven at least {stage['lower_bound']:,.6g} "
            f"(gap {_gap(stage['gap'])})"
            for stage in found["stages"]
        ),
    ]
    if found["valid"]:
        return told
    shown = found["findings"][:_SHOWN_FINDINGS]
    told += [f"Wrong with it ({found['n_findings']:,}):", *(f"  {finding['detail']}" for finding in shown)]
    if found["n_findings"] > len(shown):
        told.append(f"  … and {found['n_findings'] - len(shown):,} more; --json has them")
    return told


def _gap(gap: float) -> str:
    return "none" if abs(gap) < 1e-9 else f"{gap:.2g}"
