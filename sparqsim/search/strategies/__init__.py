"""Ways to search, one file each, found by name. They see quality and costs only."""

from __future__ import annotations

from sparqsim.search.strategies.base import Strategy
from sparqsim.search.strategies.registry import get_strategy, shipped_strategies

__all__ = ["Strategy", "get_strategy", "shipped_strategies"]
