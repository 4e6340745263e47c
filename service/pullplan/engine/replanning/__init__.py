"""What is the plan now that some facts have changed, and how little of the last one needs to move for it?"""

from pullplan.engine.replanning.programme import Churn
from pullplan.engine.replanning.touched import touched_needs, touched_products
from pullplan.engine.replanning.warm import Warm, replan

__all__ = ["Churn", "Warm", "replan", "touched_needs", "touched_products"]
