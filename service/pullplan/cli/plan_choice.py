"""Which plan does a command's PLAN mean?"""

import click

from pullplan.cli.client import Client

LATEST = "latest"


def chosen_plan_id(client: Client, plan: str) -> str:
    """Take a plan_id as it is; find the newest plan's for `latest`.

    Raises: click.ClickException where there is no plan yet.
    """
    if plan != LATEST:
        return plan
    newest_first = client.get("/v1/plans", limit=1)["items"]
    if not newest_first:
        raise click.ClickException("there is no plan yet; make one with `pullplan plan`")
    return str(newest_first[0]["plan_id"])
