"""The loss terms as conf/loss ships them."""

from __future__ import annotations

import functools
from typing import Any

import yaml

from sweep.config.stages import CONF_DIR


@functools.cache
def known_terms() -> dict[str, dict[str, Any]]:
    """Their default weights and options."""
    terms: dict[str, dict[str, Any]] = {}
    for path in sorted((CONF_DIR / "loss").glob("*.yaml")):
        terms.update(yaml.safe_load(path.read_text(encoding="utf-8")))
    return terms
