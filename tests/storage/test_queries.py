import ast
import re
from pathlib import Path

import pytest

from pullplan.storage import database
from pullplan.storage.queries import load_queries

pytestmark = pytest.mark.anyio

REPOSITORY = Path(__file__).resolve().parents[2]
CAPABILITIES = sorted(path.stem for path in (REPOSITORY / "db" / "queries").glob("*.sql"))
STORAGE = REPOSITORY / "service" / "pullplan" / "storage"
GENERAL = ("batches", "owned")
"""Modules that are given other modules' statements."""


@pytest.mark.parametrize("capability", CAPABILITIES)
async def test_every_named_query_can_be_prepared_on_the_migrated_schema(
    capability: str, connection: database.Connection
):
    queries = load_queries(capability)
    async with connection.transaction():
        await connection.execute(load_queries("batches")["create_refused"])
        for name in [name for name in queries if name.startswith(("stage", "match"))]:
            await connection.execute(queries[name])
        for name, statement in queries.items():
            if not name.startswith("match"):  # makes its table: it has just been run
                await connection.prepare(statement)


def strings_in(module: str) -> str:
    path = STORAGE / f"{module}.py"
    tree = ast.parse(path.read_text()) if path.exists() else ast.Module([], [])
    literals = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return "\n".join(str(literal) for literal in literals)


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_every_named_query_is_used(capability: str):
    loaders = [
        path.stem for path in STORAGE.glob("*.py") if f'load_queries("{capability}")' in path.read_text()
    ]
    assert loaders, f"nothing loads db/queries/{capability}.sql"
    used = "\n".join(strings_in(module) for module in {*loaders, *GENERAL})
    unused = [name for name in load_queries(capability) if not is_named_in(name, used)]
    assert unused == []


def is_named_in(name: str, literals: str) -> bool:
    whole = re.search(rf"^{name}$", literals, re.MULTILINE)
    built = re.fullmatch(r"(stage|match|refuse|merge|retire_absent)(_resources|_exceptions|_\d)?", name)
    return bool(whole or built)
