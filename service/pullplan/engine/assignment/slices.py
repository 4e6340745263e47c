"""How little of one tier and rank must stay short, so that equal ranks share?

Every need is cut into equal slices, and slice k of any need outranks slice k + 1 of any other: a stage for each slice.
No plan is less short in a slice than in the one before it. So where slices turn out equally short, the proof of the
first is a proof of all, and they are one stage: mostly the first ones, of which nothing is short.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pullplan.engine.assignment.stages import (
    Proof,
    Search,
    add_columns,
    close,
    close_alike,
    prove,
    solve,
    typical_scale,
)
from pullplan.engine.model import ShortfallStage, Tier

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NEARLY = 1e-9
"""Of what a slice is short, and of what all of it would be: a smaller difference is the solver's rounding."""
FIRST_BEFORE_LAST = 1e3
"""How much more the first slice weighs than the last in the sum that the slices start from."""


@dataclass(frozen=True)
class Shortages:
    """The columns of what stays short of one tier and rank; arrays are (n,)."""

    column: IntArray
    row: IntArray
    """In which the column stands."""
    weight: FloatArray
    """0 where nobody could serve: it is short in every plan, and no stage can make that less."""
    edges: FloatArray
    """(n, n_slices + 1), in the programme's units: [:, j] those of the last j slices."""


@dataclass(frozen=True)
class ProvedSlices:
    """A stage: which slices it counts (1 is served first), and by which of the search's proofs."""

    first: int
    last: int
    proof: int

    def name(self, tier: Tier, rank: int, n_slices: int) -> str:
        """Name the stage as a plan does."""
        if self.last - self.first + 1 == n_slices:
            return ShortfallStage(tier=tier, rank=rank).measure
        return ShortfallStage(tier=tier, rank=rank, first_slice=self.first, last_slice=self.last).measure


class SharedShortfall:
    """Proves the stages of one tier and rank, and knows the columns of every slice."""

    def __init__(self, search: Search, shortages: Shortages) -> None:
        self._search = search
        self._shortages = shortages
        self._n_slices = shortages.edges.shape[1] - 1
        self.columns = np.repeat(shortages.column[None], self._n_slices, axis=0)
        """(n_slices, n): what stays short of a slice; the first one's until needs are cut."""
        self.stages: list[ProvedSlices] = []

    def prove(self) -> None:
        """Solve as few stages as prove the whole, and keep later stages inside them."""
        total = prove(self._search, self._cost(1))
        if self._n_slices == 1 or total.value == 0 or self._is_everything(total):
            self._add(1, self._n_slices, total)
            return
        self._cut()
        start = np.zeros(self._search.n_columns)
        share = np.geomspace(FIRST_BEFORE_LAST, 1.0, self._n_slices)
        start[self.columns] = share[:, None] * self._shortages.weight
        solve(self._search, start / typical_scale(start))
        for number in range(1, self._n_slices + 1):
            self._prove_slice(number)

    def _prove_slice(self, number: int) -> None:
        cost = self._cost(number)
        if self.stages and self._value(cost) <= self._as_short(number):
            self._join(number)
            return
        proof = prove(self._search, cost)
        if self.stages and proof.value <= self._as_short(number):
            self._join(number)
        else:
            self._add(number, number, proof)

    def _as_short(self, number: int) -> float:
        """Tell up to which value a slice is as short as the one before it."""
        before = self._search.proofs[self.stages[-1].proof].value
        return before + NEARLY * (before + self._most(number, number))

    def _add(self, first: int, last: int, proof: Proof) -> None:
        self.stages.append(ProvedSlices(first, last, len(self._search.proofs)))
        close(self._search, proof)

    def _join(self, number: int) -> None:
        stage = self.stages[-1]
        cut = self.columns[number - 1] != self.columns[0]
        close_alike(self._search, self.columns[stage.first - 1, cut], self.columns[number - 1, cut])
        self.stages[-1] = ProvedSlices(stage.first, number, stage.proof)

    def short_units(self, columns: FloatArray) -> FloatArray:
        """Add up what stays short of all slices: (n,)."""
        is_cut = self.columns[1:] != self.columns[0]
        short: FloatArray = columns[self.columns[0]] + np.where(is_cut, columns[self.columns[1:]], 0.0).sum(
            axis=0
        )
        return short

    def _cut(self) -> None:
        """Give every slice a column: the first keeps the whole's, which needs no upper bound as the others fill first."""
        shortages, edges = self._shortages, self._shortages.edges
        cut = np.flatnonzero(shortages.weight > 0)
        for number in range(2, self._n_slices + 1):
            units = edges[:, self._n_slices - number + 1] - edges[:, self._n_slices - number]
            self.columns[number - 1, cut] = add_columns(
                self._search, shortages.row[cut], shortages.column[cut], units[cut]
            )

    def _cost(self, number: int) -> FloatArray:
        cost = np.zeros(self._search.n_columns)
        cost[self.columns[number - 1]] = self._shortages.weight
        return cost

    def _value(self, cost: FloatArray) -> float:
        return np.inf if self._search.columns is None else float(cost @ self._search.columns)

    def _is_everything(self, proof: Proof) -> bool:
        return proof.value >= (1 - NEARLY) * self._most(1, self._n_slices)

    def _most(self, first: int, last: int) -> float:
        """Add up what slices are short of where nothing is served."""
        edges = self._shortages.edges
        units = edges[:, self._n_slices - first + 1] - edges[:, self._n_slices - last]
        return float(self._shortages.weight @ units)
