"""What has the fork server loaded, so that each child starts at once? Imported by it alone, never by the worker."""

import gc

from pullplan.worker import bound

bound.bind()  # before the seconds that the rest takes

import highspy  # noqa: E402, F401 - loaded once, inherited by every child
import statsforecast  # noqa: E402, F401 - as above: seconds, and 250 MB that the children share

from pullplan.compute import spread_of  # noqa: E402 - as above
from pullplan.workflows.desk import Desk  # noqa: E402 - as above
from pullplan.workflows.finish_run import RunLostError  # noqa: E402 - as above
from pullplan.workflows.known_plans import KnownPlans  # noqa: E402 - as above
from pullplan.workflows.run_confirmation import run_confirmation  # noqa: E402 - as above
from pullplan.workflows.run_forecast import run_forecast  # noqa: E402 - as above
from pullplan.workflows.run_import import run_import  # noqa: E402 - as above
from pullplan.workflows.run_plan import run_plan  # noqa: E402 - as above
from pullplan.workflows.run_policy_preview import run_policy_preview  # noqa: E402 - as above
from pullplan.workflows.run_remedy import run_remedy  # noqa: E402 - as above
from pullplan.workflows.verify_plan import verify_plan  # noqa: E402 - as above

__all__ = ["WORKFLOWS", "Desk", "KnownPlans", "RunLostError", "spread_of"]

WORKFLOWS = {
    "forecast": run_forecast,
    "plan": run_plan,
    "verification": verify_plan,
    "confirmation": run_confirmation,
    "remedy": run_remedy,
    "policy_preview": run_policy_preview,
    "import": run_import,
}

# What is loaded here stays for good: no child walks through it for garbage, or copies its pages by doing so.
gc.collect()
gc.freeze()
