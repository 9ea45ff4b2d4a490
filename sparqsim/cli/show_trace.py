"""What a trace holds, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sparqsim.base.errors import printable
from sparqsim.base.wording import counted
from sparqsim.cli.cells import json_text, new_table, percent
from sparqsim.cli.tables import Shown, Table
from sparqsim.trace import Trace
from sparqsim.trace.coverage import KEY, Coverage, LeftOut
from sparqsim.trace.drawn import DrawnTrace
from sparqsim.trace.transforms.applying import KEY as TRANSFORMS


def trace_shown(trace: Trace) -> Shown:
    """Return what a trace holds, reading one layer at a time; drawn values are not drawn."""
    document, layers = trace.metadata, trace.flat_rows()
    held = Coverage.of(document.provenance).label(sum(row["macs"] for row in layers))
    arrays = {
        f"array {name}": f"{values.dtype} {values.shape}" for name, values in trace.arrays.items()
    }

    def as_json() -> str:
        """Return the document and its layers, whatever the table leaves out included."""
        told = document.model_dump(mode="json") | _drawn_entry(trace)
        return json_text(told | {"sha256": trace.sha256, "layers": layers})

    return Shown(
        fields_text({**_about(document), "holds": held, **_drawn(trace), "sha256": trace.sha256}),
        [_layer_table(layers, narrow=trace.has_narrow_layers)],
        fields_text({**_made(document.provenance), **arrays}),
        lambda: layers,
        as_json,
    )


def _about(document: Any) -> dict[str, str]:
    """Return what a trace says of itself, by name in words."""
    names = ("network", "synthetic", "calibrator", "origin", "license_note")
    texts = {name.replace("_", " "): getattr(document, name) for name in names}
    return {name: text for name, text in texts.items() if text}


def _layer_table(layers: Sequence[Mapping[str, Any]], narrow: bool) -> Table:
    table = new_table(
        *("layer", "op", "M", "K", "N", "groups", "MACs", "type"),
        *(["bits\nof X, W"] if narrow else []),
        *("zeros\n%", "8-bit\nkept"),
        title="Layers: per group Y[M,N] = X[M,K] @ W[K,N]",
    )
    for row in layers:
        table.add_row(
            printable(row["layer"]),
            row["op"],
            *(f"{row[side]}" for side in ("m", "k", "n", "groups")),
            f"{row['macs']:,}",
            row["activation_dtype"],
            *([f"{row['activation_bits']}, {row['weight_bits']}"] if narrow else []),
            _zeros(row["zero_activation_share"]),
            "yes" if row["kept_8bit"] else "",
        )
    return table


def _drawn(trace: Trace) -> dict[str, str]:
    """Return how many values a trace draws when it is read, if it does."""
    if not isinstance(trace, DrawnTrace):
        return {}
    told = f"{trace.elements:,} elements, when they are read; none was drawn for this table"
    return {"drawn": f"{told}, so zeros were not counted"}


def _drawn_entry(trace: Trace) -> dict[str, Any]:
    """Return format and distribution of a trace that draws values, instead of a stored one's."""
    if not isinstance(trace, DrawnTrace):
        return {}
    document = trace.document
    return {"format": document.format, "drawn": document.drawn.model_dump(mode="json")}


def _zeros(share: float | None) -> str:
    return "-" if share is None else percent(share)


def _made(provenance: Mapping[str, object]) -> dict[str, object]:
    """Return what a trace says of how it was made, every operation that it leaves out in words."""
    left_out = Coverage.of(provenance).left_out
    told = {name: value for name, value in provenance.items() if name not in {KEY, TRANSFORMS}}
    transforms = provenance.get(TRANSFORMS)
    if isinstance(transforms, list):
        told["transforms"] = {
            f"{at}. {each['transform']}": f"of the trace with sha256 {each['source_sha256']}"
            for at, each in enumerate(transforms, 1)
            if isinstance(each, dict) and {"transform", "source_sha256"} <= each.keys()
        }
    return told | ({"left out": {each.name: _why(each) for each in left_out}} if left_out else {})


def _why(operation: LeftOut) -> str:
    macs = "MACs not known" if operation.macs is None else counted(operation.macs, "MAC")
    return f"{operation.reason}; {macs}"


def fields_text(fields: Mapping[str, object]) -> str:
    """Return what something says of itself, a line for each field, and each entry of its lists."""
    return "\n".join(f"{printable(name)}:{_value_text(value)}" for name, value in fields.items())


def _value_text(value: object) -> str:
    if isinstance(value, Mapping) and value:
        return "".join(
            f"\n  {printable(name)}: {printable(str(entry))}" for name, entry in value.items()
        )
    return " none" if value in ({}, [], "") else f" {printable(str(value))}"
