"""What has the fork server loaded, so that each child starts at once? Imported by it alone, never by the worker."""

import highspy  # noqa: F401 - loaded once, inherited by every child
import statsforecast  # noqa: F401 - as above: seconds, and 250 MB that the children share

from pullplan.workflows.finish_run import RunLostError
from pullplan.workflows.run_forecast import run_forecast
from pullplan.workflows.run_plan import run_plan

__all__ = ["WORKFLOWS", "RunLostError"]

WORKFLOWS = {"forecast": run_forecast, "plan": run_plan}
