"""Tables of docs/rivals/hcm.md, from the records of docs/rivals/predictions/.

`rivals_tables.py` puts them into the page.
"""

from __future__ import annotations

from collections.abc import Sequence

from page_tables import ROOT, markdown_table

from sparqsim.results.prediction import LayerPrediction, Prediction

FOLDER = ROOT / "docs" / "rivals" / "predictions"
#: The designs that HCM's forms are of, and whose order is predicted.
MACS = ("mac-8b8b", "mac-4b8b", "mac-4b4b")
DESIGNS = (*MACS, "sparq-5opt", "sparq-exact")
#: Around the array: none, and a shipped accelerator's.
MEMORIES = (None, "edge")
ROOFLINE, PREDICTED = "roofline_cycles", "predicted_cycles"


def loaded(network: str, memory: str | None) -> Prediction:
    """Return the record of a network."""
    return Prediction.load(FOLDER / f"{network}_{memory or 'array'}.json")


def designs_table(network: str) -> list[str]:
    """Return cycles of every design: predicted, by the roofline, simulated."""
    heads = ("memory", "design", "predicted", "error", "roofline", "error", "simulated")
    rows = []
    for memory in MEMORIES:
        record = loaded(network, memory)
        for name in DESIGNS:
            totals = record.design(name).totals
            predicted = [f"{totals.predicted_cycles:,}", f"{totals.error_percent:.1f} %"]
            roofline = [f"{totals.roofline_cycles:,}", f"{totals.roofline_error_percent:.1f} %"]
            cells = [*predicted, *roofline, f"{totals.simulated_cycles:,}"]
            rows.append([f"`{memory}`" if memory else "none", f"`{name}`", *cells])
    return [*_about(loaded(network, None)), *markdown_table(heads, rows)]


def _about(record: Prediction) -> list[str]:
    layers = len(record.design(MACS[0]).layers)
    return [
        (
            f"{record.provenance.network}, {layers} layers, 1 picture, {record.array.words}; "
            "layers marked keep_8bit as each design's own circuit runs them."
        ),
        "",
    ]


def checks_table(network: str) -> list[str]:
    """Return the order of the MAC designs, and medians over layers with long streams."""
    heads = ("memory", "by", "layers in order", *(f"`{name}`" for name in MACS), "all three")
    rows = []
    for memory in MEMORIES:
        record = loaded(network, memory)
        for cycles in (PREDICTED, ROOFLINE):
            agrees = record.order_agrees(MACS, cycles)
            share = f"{sum(agrees)}/{len(agrees)} ({sum(agrees) / len(agrees):.0%})"
            medians = [_median_cell(record, [name], cycles) for name in MACS]
            by = cycles.partition("_")[0]
            whole = _median_cell(record, list(MACS), cycles)
            rows.append([f"`{memory}`" if memory else "none", by, share, *medians, whole])
    return markdown_table(heads, rows)


def _median_cell(record: Prediction, names: Sequence[str], cycles: str) -> str:
    middle = record.median_ratio(names, cycles)
    count = sum(len(record.long_streams(name)) for name in names)
    return f"{middle:.3f} of {count}" if middle is not None else "no layer"


def layers_table(network: str) -> list[str]:
    """Return every layer of the MAC designs: simulated cycles, and errors of both predictions."""
    records = [loaded(network, memory) for memory in MEMORIES]
    around = [f" `{memory}`" if memory else "" for memory in MEMORIES]
    designs = [f"`{name}`{memory}" for memory in around for name in MACS]
    heads = ["layer", "K", "M x N", *designs]
    columns = [record.design(name).layers for record in records for name in MACS]
    rows = []
    for layers in zip(*columns, strict=True):
        gemm = layers[0].gemm
        kept = "*" if layers[0].kept_8bit else ""
        shape = [str(gemm.k), f"{gemm.m} x {gemm.n}"]
        rows.append([f"`{layers[0].name}`{kept}", *shape, *map(_layer_cell, layers)])
    return markdown_table(heads, rows)


def _layer_cell(layer: LayerPrediction) -> str:
    errors = f"{round(layer.error_percent)} / {round(layer.roofline_error_percent)} %"
    return f"{layer.simulated_cycles:,}: {errors} {layer.roofline_bound}"


def bits_table(network: str) -> list[str]:
    """Return bit operations of the network by three definitions, and areas by both sources."""
    record = loaded(network, None)
    heads = (
        "design",
        "HCM, 10^6",
        "UNIQ, 10^6",
        "MACs x b x b, 10^6",
        "PE area, synthesised, x `mac-8b8b`",
        "HCM's PE, um^2: by bits / by bit operations",
        "x that of 8 bits",
    )
    return markdown_table(heads, [_bits_row(record, name) for name in DESIGNS])


def _bits_row(record: Prediction, name: str) -> list[str]:
    design = record.design(name)
    counts, area = design.totals.bit_operations, design.area
    eight = record.design(MACS[0]).area
    cells = [f"{count / 1e6:,.1f}" for count in (counts.hcm, counts.uniq or 0, counts.product)]
    ours = area.synthesised
    middle = "-" if ours is None else f"{ours.middle:.2f} ({ours.low:.2f} to {ours.high:.2f})"
    fits = [area.hcm_by_bits_um2, area.hcm_by_bit_operations_um2]
    of_eight = [eight.hcm_by_bits_um2, eight.hcm_by_bit_operations_um2]
    sizes, ratios = "-", "-"
    if None not in fits:
        sizes = " / ".join(f"{size:.1f}" for size in fits)
        ratios = " / ".join(f"{one / other:.2f}" for one, other in zip(fits, of_eight, strict=True))
    return [f"`{name}`", *cells, middle, sizes, ratios]


#: By the kind in `<!-- table KIND_NETWORK -->`.
TABLES = {
    "predicted": designs_table,
    "checks": checks_table,
    "predictedlayers": layers_table,
    "bitops": bits_table,
}
