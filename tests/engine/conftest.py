"""What tests of the engine may ask for."""

import pytest

from pullplan.engine.assignment import completing


@pytest.fixture
def few_needs_open_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let near ties be few: small instances would else be completed whole, and nothing ever widened."""
    monkeypatch.setattr(completing, "FEWEST_OPEN_NEEDS", 3)
    monkeypatch.setattr(completing, "OPEN_NEEDS_PER_ROW", 1)
    monkeypatch.setattr(completing, "OPEN_BATCHES_PER_ROW", 1)
