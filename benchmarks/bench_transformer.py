"""Dump a transformer of GPT-2 small's sizes for 128 tokens, and compare the default designs on it.

    python benchmarks/bench_transformer.py [--trace FILE] [--no-head]

Twelve blocks of width 768 with 12 heads of `nn.MultiheadAttention`, GELU, and a head of 50,257
words that shares the embedding's weights: random weights, random tokens, for time and memory alone.
Each part runs in a process of its own, as a user's would, imports and all; kernels are compiled
before by a comparison of the trace that ships. It says seconds, processor seconds and peak memory
(VmHWM). Targets on two idle cores: both parts together under one minute, each under 2 GB.
`--no-head` leaves the head out, as a network of few classes has it. Needs the extra `torch`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from peak import peak_mib

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "workloads" / "digits_resnet.safetensors"
WIDTH, HEADS, BLOCKS, TOKENS, WORDS = 768, 12, 12, 128, 50_257
MIB = (1 << 20) / 1e6


def network(words: int) -> Any:
    """Return a decoder of random weights; words: of its head."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Block(nn.Module):
        """Masked attention and two linear layers, norms before each."""

        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
            self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            y = self.norm1(x)
            x = x + self.attention(y, y, y, attn_mask=mask, need_weights=False)[0]
            return x + self.down(functional.gelu(self.up(self.norm2(x))))

    class Decoder(nn.Module):
        """Embeddings, blocks, head."""

        def __init__(self) -> None:
            super().__init__()
            self.words, self.places = nn.Embedding(words, WIDTH), nn.Embedding(TOKENS, WIDTH)
            self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
            self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, words, bias=False)
            self.head.weight = self.words.weight

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            count = tokens.shape[1]
            x = self.words(tokens) + self.places.weight[:count]
            mask = torch.full((count, count), float("-inf")).triu(1)
            for block in self.blocks:
                x = block(x, mask)
            return self.head(self.norm(x))

    return Decoder()


def dump(trace: Path, words: int) -> str:
    """Dump the network for one sequence, on which scales are found too."""
    import torch

    from sparqsim.torch import dump as dumped

    torch.manual_seed(0)
    tokens = torch.randint(words, (1, TOKENS))
    report = dumped(network(words), [tokens], trace, network="GPT-2 small's sizes, random weights")
    return f"{len(report.layers)} layers"


def compare(trace: Path, _: int) -> str:
    """Compare the default designs on 16x16."""
    import sparqsim

    found = sparqsim.compare(sparqsim.load_trace(trace))
    return f"{len(found.order)} designs, {found.macs / 1e9:.1f} G MACs"


PARTS = {"dump": dump, "compare": compare}


def in_process(part: str, trace: Path, words: int) -> dict[str, Any]:
    """Run one part in a fresh process; return what it says and how long it took."""
    given = ["--part", part, "--trace", str(trace), "--words", str(words)]
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, *given], check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"s": time.perf_counter() - begun, **found}


def show(trace: Path, words: int) -> None:
    """Run both parts and print them."""
    in_process("compare", SHIPPED, words)  # compiles kernels
    total = 0.0
    for part in PARTS:
        found = in_process(part, trace, words)
        total += found["s"]
        print(
            f"{part}: {found['s']:.1f} s, {found['cpu_s']:.1f} s of processors, peak "
            f"{found['peak_mb']:.0f} MB ({found['told']})"
        )
    print(f"together {total:.1f} s (target 60)")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trace", type=Path, help="where it is to be written; default: not kept")
    parser.add_argument("--no-head", action="store_true", help="a head of ten words")
    parser.add_argument("--words", type=int, default=WORDS, help=argparse.SUPPRESS)
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        told = PARTS[options.part](options.trace, options.words)
        seconds = {"cpu_s": time.process_time(), "peak_mb": MIB * peak_mib()}
        print(json.dumps({"told": told, **seconds}))
        return
    with tempfile.TemporaryDirectory() as folder:
        trace = options.trace or Path(folder) / "transformer.safetensors"
        show(trace, 10 if options.no_head else options.words)


if __name__ == "__main__":
    main()
