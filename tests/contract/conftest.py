"""What tests of methods share."""

import pytest


@pytest.fixture(autouse=True)
def _few_patches_are_a_bank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Banks of small pictures would keep all patches otherwise."""
    monkeypatch.setattr("kizu.detectors.bank.LEAST_KEPT", 1)
