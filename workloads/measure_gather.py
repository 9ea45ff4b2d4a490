"""Measure gathers from the table of the package `wordllama`, and write the tables of
docs/how-to/gather.md.

    python workloads/measure_gather.py
    python workloads/measure_gather.py --pin      # takes text and lines from the pages of today

Look-ups are words by the package's own tokenizer, a bag for each line: of gather_text.txt, and of
the lines in gather_lines.npz. Both are this project's pages as they were one day: pages change, and
records must not change with them. A small perceptron learns on fp32 vectors which page a line
stands on; of the lines that it has not seen it answers every format's vectors. Writes the records
in docs/gather/ and workloads/pages_mlp.safetensors, the perceptron's operands on 64 unseen lines.
`gather_tables.py` makes the tables from the records, by itself too. Needs the extras `gather` and
`torch`; half a minute.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
from typing import Any

import numpy as np
import torch
from gather_tables import (
    ANSWERS,
    BEHIND,
    FORMATS,
    PINNED_LINES,
    PINNED_TEXT,
    ROOT,
    TEXT,
    WIDTHS,
    ZIPF,
    lookups,
    pinned_lines,
    write_tables,
)
from numpy.typing import NDArray
from torch import nn

import sparqsim
from sparqsim.base.files import replaced, write_text
from sparqsim.engine.behind import Behind
from sparqsim.engine.gather import Asked, gather
from sparqsim.gather.lookups import Draw, Lookups, lookups_of
from sparqsim.gather.pooling import pooled
from sparqsim.gather.table import Table, load_table
from sparqsim.gather.tokens import rows_of_lines
from sparqsim.memory import load_accelerator
from sparqsim.quantise.rows import get_row_format
from sparqsim.torch import dump

MLP = ROOT / "workloads" / "pages_mlp.safetensors"
#: Shorter lines say too little of their page.
LEAST_WORDS = 12
#: Pages with fewer lines are left out.
LEAST_LINES = 24
HIDDEN, EPOCHS, UNSEEN_EVERY, TRACED = 64, 300, 4, 64


def pin() -> None:
    """Take the text, and the lines of all pages, from the pages of today."""
    shutil.copyfile(ROOT / "docs" / "memory.md", PINNED_TEXT)
    bags: list[NDArray[np.int64]] = []
    labels: list[int] = []
    pages: list[str] = []
    for page in sorted((ROOT / "docs").rglob("*.md")):
        lines = page.read_text(encoding="utf-8").split("\n")
        rows = [row for row in rows_of_lines(lines) if len(row) >= LEAST_WORDS]
        if len(rows) >= LEAST_LINES and page.name != "gather.md":
            labels += [len(pages)] * len(rows)
            pages.append(page.relative_to(ROOT).as_posix())
            bags += rows
    packed = io.BytesIO()
    np.savez_compressed(
        packed,
        rows=np.concatenate(bags).astype(np.uint16),
        lengths=np.array([len(bag) for bag in bags], np.uint16),
        page=np.array(labels, np.uint8),
        pages=np.array(pages),
    )
    with replaced(PINNED_LINES) as temporary:
        temporary.write_bytes(packed.getvalue())


def trained(vectors: torch.Tensor, labels: torch.Tensor, classes: int) -> nn.Module:
    """Return a perceptron that tells pages apart by vectors."""
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(mode=True)
    width = vectors.shape[1]
    model = nn.Sequential(nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, classes))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=1e-4)
    for _ in range(EPOCHS):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(vectors), labels).backward()
        optimiser.step()
    return model.eval()


def answers(table: Table) -> tuple[dict[str, Any], Lookups]:
    """Train, answer unseen lines under every format, write the trace; return counts and the
    traced lines' look-ups.
    """
    bags, labels, pages = pinned_lines()
    every = lookups(bags, "lines")
    unseen = np.arange(len(bags)) % UNSEEN_EVERY == 0
    exact = pooled(table.values, every.rows, every.starts)
    seen = torch.from_numpy(exact[~unseen])
    model = trained(seen, torch.from_numpy(labels[~unseen]), len(pages))
    found: dict[str, Any] = {}
    reference = answered(model, exact[unseen])
    for spec in FORMATS:
        format_ = get_row_format(spec)
        read = format_.decode(format_.encode(table.values), table.width)
        guess = answered(model, pooled(read, every.rows, every.starts)[unseen])
        right, agree = (int((guess == those).sum()) for those in (labels[unseen], reference))
        found[spec] = {"right": right, "agree": agree}
    chosen = np.random.default_rng(0).permutation(np.flatnonzero(unseen))[:TRACED]
    batch = (torch.from_numpy(exact[chosen]), torch.from_numpy(labels[chosen]))
    note = (
        "weights: trained here on vectors of wordllama 0.4's table (MIT licence, Lee Miller); "
        "lines: this project's pages"
    )
    dump(model, [batch], MLP, network="pages MLP", license_note=note)
    record = {
        "lines": len(bags),
        "unseen": int(unseen.sum()),
        "pages": len(pages),
        "lookups_sha256": every.sha256,
        "answers": found,
    }
    return record, lookups([bags[at] for at in chosen], f"{TRACED} lines of this project's pages")


def answered(model: nn.Module, vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the page that the network gives each vector."""
    with torch.no_grad():
        chosen: NDArray[np.int64] = model(torch.from_numpy(vectors)).argmax(dim=1).numpy()
    return chosen


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description="Measure gathers, and write records and tables.")
    parser.add_argument("--pin", action="store_true", help="take the pages of today first")
    if parser.parse_args().pin:
        pin()
    table, edge = load_table("wordllama"), load_accelerator("edge")
    text = lookups_of(f"text:{PINNED_TEXT}", table.height)
    gather(Asked(table, text, edge, FORMATS, widths=WIDTHS)).save(TEXT)
    drawn = lookups_of("zipf:1.05", table.height, Draw(lookups=10_000_000))
    paged = load_accelerator(ROOT / "docs" / "gather" / "paged.toml")
    gather(Asked(table, drawn, paged, FORMATS)).save(ZIPF)
    record, lines = answers(table)
    write_text(ANSWERS, json.dumps(record, indent=1, sort_keys=True) + "\n")
    behind = Behind(sparqsim.load_trace(MLP), edge.array or sparqsim.ArrayConfig(), edge.memory)
    gather(Asked(table, lines, edge, FORMATS), behind).save(BEHIND)
    write_tables()


if __name__ == "__main__":
    main()
