"""How does `pullplan work` compute runs?"""

import asyncio

import click

from pullplan import telemetry
from pullplan.cli.database_access import reached_database
from pullplan.settings import read_settings
from pullplan.worker.loop import Orders
from pullplan.worker.loop import work as compute_runs


@click.command()
@click.option(
    "--runs",
    type=click.IntRange(1, 64),
    help="Runs to compute at a time.  [default: PULLPLAN_WORKER_RUNS, 1]",
)
def work(runs: int | None) -> None:
    """Compute runs from the queue until stopped; start as many as you want, on as many machines, over one database.

    Runs are computed in processes beside the worker. A worker that is stopped gives its runs back; one that is killed is
    taken over when its lease (PULLPLAN_LEASE_SECONDS) is over. Workers also send what webhooks are to be told.
    """
    settings = read_settings()
    telemetry.configure_logs(settings.log_level)
    with reached_database(settings) as url:
        orders = Orders(
            database_url=url,
            lease_seconds=settings.lease_seconds,
            time_zone=settings.time_zone,
            log_level=settings.log_level,
            compute=settings.compute,
            private_webhooks=settings.private_webhooks,
            idempotency_days=settings.idempotency_days,
        )
        asyncio.run(
            compute_runs(
                orders,
                runs_at_once=runs or settings.worker_runs,
                statement_cache=settings.statement_cache,
            )
        )
