"""JSON Schemas of what sparqsim writes, for readers in other languages: `report.schema.json`, `comparison.schema.json`.

The files are derived from the records in `sparqsim/report.py`; a test says whether they are current.

    python -m sparqsim.schemas      # writes them anew
"""

from __future__ import annotations

import json
from pathlib import Path

from sparqsim.record import Record
from sparqsim.report import Comparison, Report

FOLDER = Path(__file__).parent
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_text(record: type[Record]) -> str:
    """Return the JSON Schema of what `record.to_json` writes, as the text of a file."""
    schema = record.model_json_schema(mode="serialization", by_alias=True)
    return json.dumps({"$schema": DIALECT, **schema}, sort_keys=True, indent=1) + "\n"


def schema_files() -> dict[Path, str]:
    """Return the schema files that ship, and what each should hold."""
    return {FOLDER / f"{record.__name__.lower()}.schema.json": schema_text(record) for record in (Report, Comparison)}
