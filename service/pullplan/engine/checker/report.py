"""What was found, and how much of it is told?"""

from collections.abc import Callable, Iterable

import numpy as np

from pullplan.engine.checker.columns import BoolArray
from pullplan.engine.model import Finding

MOST_FINDINGS = 1000


class Report:
    """Counts all findings, and keeps the first."""

    def __init__(self) -> None:
        self.n_findings = 0
        self.findings: list[Finding] = []

    def add(self, findings: Iterable[Finding]) -> None:
        """Add findings one by one."""
        for finding in findings:
            self.n_findings += 1
            if len(self.findings) < MOST_FINDINGS:
                self.findings.append(finding)

    def add_where(self, is_wrong: BoolArray, say: Callable[[int], Finding]) -> None:
        """Add a finding of every row that is wrong; only those that are kept are put into words."""
        rows = np.flatnonzero(is_wrong)
        self.n_findings += len(rows)
        self.findings += map(say, rows[: MOST_FINDINGS - len(self.findings)].tolist())
