"""What `sparqsim` alone says: what to do next, in commands that can be copied as they are."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

SHIPPED = Path("workloads") / "digits_resnet.safetensors"
#: Beside it.
TRANSFORMER = "digits_vit.safetensors"

WITH_TRACE = """\
sparqsim: what a processing element buys you on a real network.

A small trace ships with the project: a residual CNN on handwritten digits. Try

  sparqsim compare {trace}
      seven PE designs on a 16x16 array: cycles, speedup, error
  sparqsim simulate {trace} --pe sparq-5opt
      one design, layer by layer: where every cycle went
  sparqsim compare {trace} --plot speedup.svg
      the same as a figure
  sparqsim compare {transformer}
      of a vision transformer, attention and all
  sparqsim pe list
      the PE designs there are

A trace of your own network: sparqsim trace dump --help (PyTorch: sparqsim.torch).
Every command: sparqsim --help. In your shell: sparqsim --install-completion."""

WITHOUT_TRACE = """\
sparqsim: what a processing element buys you on a real network.

It needs a trace: the 8-bit operands of a network's layers. One of a real network,
workloads/digits_resnet.safetensors, ships with the project's sources, but is not
here. A trace of one made-up layer (M, N, K), with drawn values, is made by

  printf 'layer,M,N,K,\\nfc,64,64,256,\\n' > layers.csv
  sparqsim trace import layers.csv -o layers.safetensors
  sparqsim compare layers.safetensors
      seven PE designs on a 16x16 array: cycles, speedup, error
  sparqsim pe list
      the PE designs there are

A trace of your own network: sparqsim trace dump --help (PyTorch: sparqsim.torch).
Every command: sparqsim --help. In your shell: sparqsim --install-completion."""


def welcome() -> str:
    """Return what to do next."""
    trace = shipped_trace()
    if trace is None:
        return WITHOUT_TRACE
    transformer = trace.with_name(TRANSFORMER)
    quoted = [shlex.quote(str(path)) for path in (trace, transformer)]
    return WITH_TRACE.format(trace=quoted[0], transformer=quoted[1])


def shipped_trace() -> Path | None:
    """Return the shipped trace's path, if a checkout is around the current folder or this file."""
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if (folder / SHIPPED).is_file():
            return (
                Path(os.path.relpath(folder / SHIPPED))
                if folder in {here, *here.parents}
                else folder / SHIPPED
            )
    return None
