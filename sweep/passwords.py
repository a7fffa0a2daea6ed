"""Passwords in URLs: they get into no record and no message."""

from __future__ import annotations

import re

__all__ = ["masked"]

# As SQLAlchemy reads them; the keys of a study's storage refuse an @ too many.
_PASSWORD = re.compile(r"(\w+://[^\s:/@]*):\S+@")
_IN_QUERY = re.compile(r"([?&]\w*passw(?:or)?d=)[^&\s'\"]+", re.IGNORECASE)


def masked(text: str) -> str:
    """A text with ``***`` for the password of every URL in it."""
    return _IN_QUERY.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))
