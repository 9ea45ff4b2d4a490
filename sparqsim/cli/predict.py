"""`sparqsim predict`."""

from __future__ import annotations

from typing import Annotated

import typer

from sparqsim.base.errors import printable
from sparqsim.cli.accelerator import accelerator_config
from sparqsim.cli.options import (
    Array,
    Config,
    Coupling,
    Dataflow,
    Designs,
    Format,
    Include,
    KeptAs,
    Output,
    Overlap,
    SignedAs,
    Trust,
    split_designs,
)


def predict(
    trace: Annotated[
        str,
        typer.Argument(
            metavar="TRACE",
            help="Trace file (.safetensors), or a SCALE-Sim topology (.csv), of which only shapes "
            "are known.",
        ),
    ],
    pe: Designs = None,
    array: Array = None,
    dataflow: Dataflow = None,
    coupling: Coupling = None,
    overlap: Overlap = None,
    config: Config = None,
    all_layers: Include = False,
    kept: KeptAs = "honest",
    signed: SignedAs = "magnitude",
    output: Output = None,
    format_: Format = "table",
    trust: Trust = False,
) -> None:
    """Predict cycles, bit operations and area of PE designs before a simulation, and show the
    error.
    """
    import sparqsim
    from sparqsim.base.files import check_outputs
    from sparqsim.cli.show import layer_progress
    from sparqsim.cli.show_predict import prediction_shown
    from sparqsim.cli.tables import checked_format, deliver, saving
    from sparqsim.engine.assignment import assigned, file_of
    from sparqsim.engine.prediction import layers_of
    from sparqsim.engine.simulation import DEFAULT_PES

    checked_format(format_)
    designs = list(DEFAULT_PES) if pe is None else split_designs(pe)
    check_outputs({"-o": output}, [trace, config, *map(file_of, designs)])
    shape, memory = accelerator_config(config, array, dataflow, coupling, overlap)
    loaded, remarks = layers_of(trace)
    for note in remarks:
        typer.echo(printable(f"{trace}: {note}"), err=True)
    with layer_progress() as progress:
        result = sparqsim.predict(
            loaded,
            [assigned(name, trust=trust) for name in designs],
            shape,
            memory=memory,
            keep_8bit=not all_layers,
            kept=kept,
            signed=signed,
            progress=progress,
        )
    deliver(prediction_shown(result), format_, saving(output, result.to_json))
