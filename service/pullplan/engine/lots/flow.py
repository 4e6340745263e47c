"""Who gets units from which order of one product, at least cost for what every order makes?

A transport of few sources (orders, and one that stands for staying short) and many sinks (needs). Units change hands
along chains of sources: one gives up a need to the next, which gives up another in its turn. Needs appear only in what
such a step costs at least, so that a chain is a shortest path among the sources.

Every need begins at the source that is cheapest for it. Each chain being a shortest one, no exchange that would lower
the cost is left at any time (successive shortest paths; Ahuja, Magnanti, Orlin: Network Flows, 1993, section 9.7).
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

ROUNDING = 1e-12
"""Of the largest cost: exchanges that save less are the arithmetic's rounding."""
DUST = 1e-12
"""Of all units: so little is nothing."""
CELL_DUST = 1e-13
"""Of what a source gave to a need: so little left is nothing."""

Ends = Callable[[int], tuple[FloatArray, FloatArray]]
"""Of what a source gives up, or takes: how many units every other may take, or give, and what else a unit costs there."""


class Flow:
    """What every source gives to every need; exchanges can be taken back."""

    def __init__(self, cost: FloatArray, units: FloatArray) -> None:
        """Begin with what is cheapest.

        Shapes: `cost` (n_sources, n_needs), ∞ where impossible, each need having some source; `units` (n_needs,)
        """
        n_sources, n_needs = cost.shape
        self.cost = cost
        self.amount = np.zeros(cost.shape)
        if n_needs:
            self.amount[cost.argmin(axis=0), np.arange(n_needs)] = units
        self.made = self.amount.sum(axis=1)
        """(n_sources,)"""
        self.total = self.value()
        """What all units cost."""
        self.dust = DUST * float(units.sum())
        finite = np.isfinite(cost)
        self.rounding = ROUNDING * float(cost[finite].max(initial=0.0))
        self.n_chains = 0
        """How many times shortest chains were looked for: what the time goes to."""
        self._every = np.arange(n_sources)
        self._step = np.full((n_sources, n_sources), np.inf)
        self._need = np.zeros((n_sources, n_sources), dtype=np.int64)
        """What handing a unit from one source to another costs at least, and the need that it is of."""
        self._changed = set(range(n_sources))
        self._log: list[tuple[int, int, int, float]] = []

    @property
    def now(self) -> int:
        """Name this state, to be gone back to."""
        return len(self._log)

    def go_back(self, then: int) -> None:
        """Take back what was exchanged since."""
        while len(self._log) > then:
            source, to, need, units = self._log.pop()
            self._give(to, source, need, units)

    def value(self) -> float:
        """Add up anew what all units cost."""
        used = self.amount > 0
        return float(self.cost[used] @ self.amount[used])

    def first_cost(self, source: int, room: FloatArray, worth: FloatArray) -> float:
        """Tell what the first unit costs that a source takes over from one that has any to give."""
        distance, _ = self._distances(source, inward=True)
        return float(np.where(room > self.dust, distance + worth, np.inf).min())

    def push(self, source: int, units: float, ends: Ends) -> float:
        """Let others make what a source has made; fewer units where there is no more room.

        Returns what that costs
        """
        return self._move(source, units, ends, gain=False, inward=False)

    def pull(self, source: int, units: float, ends: Ends, *, gain: bool = False) -> float:
        """Let a source make what others have made; fewer units where `gain` is asked for and there is no more."""
        return self._move(source, units, ends, gain=gain, inward=True)

    def _move(self, source: int, units: float, ends: Ends, *, gain: bool, inward: bool) -> float:
        spent = 0.0
        while units > self.dust:
            distance, before = self._distances(source, inward=inward)
            there, worth = ends(source)
            total = np.where(there > self.dust, distance + worth, np.inf)
            total[source] = np.inf
            end = int(total.argmin())
            if not np.isfinite(total[end]) or (gain and total[end] >= -self.rounding):
                break
            chain = [end]
            while chain[-1] != source and len(chain) <= len(total):
                chain.append(int(before[chain[-1]]))
            if chain[-1] != source:
                break
            if not inward:
                chain.reverse()
            moved = self._exchange(chain, min(units, float(there[end])))
            spent += moved * float(total[end])
            units -= moved
        return spent

    def _distances(self, source: int, *, inward: bool) -> tuple[FloatArray, IntArray]:
        """Find the cheapest chain from a source to each other, or to it, and each one's neighbour on it."""
        self._look()
        self.n_chains += 1
        step = self._step.T if inward else self._step
        distance, before = step[source].copy(), np.full(len(step), source)
        distance[source] = 0.0
        nearer = self._every
        for _ in range(len(step)):
            through = distance[nearer, None] + step[nearer]
            at = through.argmin(axis=0)
            nearest = through[at, self._every]
            better = nearest < distance - self.rounding
            better[source] = False
            if not better.any():
                break
            distance[better], before[better] = nearest[better], nearer[at[better]]
            nearer = np.flatnonzero(better)
        return distance, before

    def _exchange(self, chain: list[int], units: float) -> float:
        """Hand units along a chain, at most what its needs have."""
        links = [(a, b, int(self._need[a, b])) for a, b in pairwise(chain)]
        units = min(units, *(float(self.amount[a, need]) for a, _, need in links))
        for a, b, need in links:
            self._log.append((a, b, need, units))
            self._give(a, b, need, units)
        return units

    def _give(self, source: int, to: int, need: int, units: float) -> None:
        before = self.amount[source, need]
        self.amount[source, need] = before - units if before - units > CELL_DUST * before else 0.0
        self.amount[to, need] += units
        self.total += units * float(self.cost[to, need] - self.cost[source, need])
        self.made[source] -= units
        self.made[to] += units
        self._changed |= {source, to}

    def _look(self) -> None:
        """Find anew what handing units on costs where what a source gives has changed."""
        for source in self._changed:
            needs = np.flatnonzero(self.amount[source])
            if len(needs) == 0:
                self._step[source] = np.inf
                continue
            saved = self.cost[:, needs] - self.cost[source, needs]
            at = saved.argmin(axis=1)
            self._step[source], self._need[source] = saved[self._every, at], needs[at]
            self._step[source, source] = np.inf
        self._changed.clear()
