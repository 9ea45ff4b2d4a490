"""Row formats: how a row of an embedding table lies in memory, and what is read back from it.

One file per format, found by name.
"""

from sparqsim.quantise.rows.base import RowFormat
from sparqsim.quantise.rows.registry import get_row_format, shipped_row_formats

__all__ = ["RowFormat", "get_row_format", "shipped_row_formats"]
