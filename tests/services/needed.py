"""Programs beside Python that some tests need: skipped without them, but never in CI."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

__all__ = ["missing"]


def missing(what: str, remedy: str) -> NoReturn:
    """Skip the test, or fail it where ``CI`` is set: there nothing may be left untested.

    Args:
        what: What is not there.
        remedy: How to get it.
    """
    message = f"needs {what}: {remedy}"
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
