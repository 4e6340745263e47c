"""What became of the lines of a file that a run has stored?"""

from uuid import UUID

from litestar import get
from litestar.params import FromPath

from pullplan.api.access import require
from pullplan.api.dependencies import Transaction
from pullplan.api.intake import Report
from pullplan.engine.errors import ResourceUnknownError
from pullplan.storage import imports


@get("/v1/imports/{import_id:uuid}", guards=[require("read")], operation_id="getImport", tags=["runs"])
async def get_import(transaction: Transaction, import_id: FromPath[UUID]) -> Report:
    """Show what became of the lines of a file that a run has stored, as the answer to a smaller file says it at once."""
    row = await imports.find(transaction, import_id)
    if row is None:
        raise ResourceUnknownError("import", import_id)
    return Report(**row, dry_run=False)


ROUTES = [get_import]
