"""JSON Schemas of what sparqsim writes, for readers in other languages: report, comparison,
accuracy, prediction, search, gather, quantization card and what cards differ in.

The files `NAME.schema.json` are derived from the records in `report.py`, `accuracy_report.py`,
`prediction.py`, `search_report.py`, `gather_report.py`, `card.py` and `confounds.py`; a test says
whether they are current.

    python -m sparqsim.results.schemas      # writes them anew
"""

from __future__ import annotations

import json
from pathlib import Path

from sparqsim.base.record import Record
from sparqsim.results.accuracy_report import AccuracyReport
from sparqsim.results.card import Card
from sparqsim.results.comparison import Comparison
from sparqsim.results.confounds import CardDiff
from sparqsim.results.gather_report import GatherReport
from sparqsim.results.prediction import Prediction
from sparqsim.results.report import Report
from sparqsim.results.search_report import SearchReport

FOLDER = Path(__file__).parent
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_text(record: type[Record]) -> str:
    """Return the JSON Schema of what `record.to_json` writes, as the text of a file."""
    schema = record.model_json_schema(mode="serialization", by_alias=True)
    return json.dumps({"$schema": DIALECT, **schema}, sort_keys=True, indent=1) + "\n"


def schema_files() -> dict[Path, str]:
    """Return the schema files that ship, and what each should hold."""
    records: dict[str, type[Record]] = {
        "report": Report,
        "comparison": Comparison,
        "accuracy": AccuracyReport,
        "prediction": Prediction,
        "search": SearchReport,
        "gather": GatherReport,
        "card": Card,
        "card_diff": CardDiff,
    }
    return {FOLDER / f"{name}.schema.json": schema_text(record) for name, record in records.items()}
