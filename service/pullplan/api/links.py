"""What can be asked with what was answered? The links of the OpenAPI document: from the start of long work to its run and its result."""

import re
from collections.abc import Mapping

from pullplan.api.schemas import Json

_RUN_ID = "$response.body#/run_id"


def link_runs(paths: Json, result_operations: Mapping[str, str]) -> None:
    """Link each operation that starts a run to those that show, follow and cancel it, and to the one that shows its result.

    A result has the id of the run that made it. `result_operations` names by operation id what shows the result.
    """
    path_of = {operation["operationId"]: path for path, item in paths.items() for operation in item.values()}
    for path, item in paths.items():
        for operation in item.values():
            given = _names(path)
            if operation["operationId"] in result_operations:
                result = result_operations[operation["operationId"]]
                operation["responses"]["200"]["links"] = {
                    "result": _link(result, path_of[result], given),
                    "run": _link("getRun", path_of["getRun"], given),
                }
            if "202" in operation["responses"] and operation["operationId"] != "cancelRun":
                operation["responses"]["202"]["links"] = {
                    name: _link(target, path_of[target], given)
                    for name, target in (("run", "getRun"), ("events", "followRun"), ("cancel", "cancelRun"))
                }


def _names(path: str) -> list[str]:
    return re.findall(r"\{(\w+)\}", path)


def _link(operation_id: str, path: str, given: list[str]) -> Json:
    parameters = {name: f"$request.path.{name}" if name in given else _RUN_ID for name in _names(path)}
    return {"operationId": operation_id, "parameters": parameters}
