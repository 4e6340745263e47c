"""Which SQL statement has this name? One file in db/queries for each capability."""

import re

from pullplan.packaged_files import packaged

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load_queries(capability: str) -> dict[str, str]:
    """Read `db/queries/<capability>.sql`: statements, each under a line `-- name: <name>`.

    Raises: ValueError for a name given twice.
    """
    parts = _NAME.split((packaged("db") / "queries" / f"{capability}.sql").read_text())
    names, statements = parts[1::2], [part.strip() for part in parts[2::2]]
    if len(set(names)) != len(names):
        raise ValueError(f"db/queries/{capability}.sql gives a name twice")
    return dict(zip(names, statements, strict=True))
