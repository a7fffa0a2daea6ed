"""What needs a program that is not there is skipped, but fails in CI."""

import pytest
from needed import missing


def test_it_is_skipped_here(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs a browser: install one"):
        missing("a browser", "install one")


def test_it_fails_in_ci(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="needs a browser: install one"):
        missing("a browser", "install one")
