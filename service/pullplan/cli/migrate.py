"""How does `pullplan migrate` bring a database up to date?"""

import click

from pullplan.cli.database_access import reached_database
from pullplan.settings import read_settings
from pullplan.storage import schema


@click.command()
def migrate() -> None:
    """Bring the database's schema up to date; safe to run twice, and at the same time as another.

    On a database of yours (DATABASE_URL) this is a step of its own: `serve` never changes its schema.
    """
    with reached_database(read_settings()) as url:
        schema.migrate(url)
    click.echo(f"The schema is up to date: {schema.expected_versions()[-1]}.")
