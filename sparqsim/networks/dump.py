"""Traces of networks: every site's operands, batch by batch, into a file or in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from sparqsim.networks.images import Pictures
from sparqsim.networks.phase import Phase
from sparqsim.networks.site import Operands, Site
from sparqsim.trace.coverage import TOKENS, InputKind, Tally
from sparqsim.trace.dumpreport import DumpedLayer, DumpReport
from sparqsim.trace.trace import Trace
from sparqsim.trace.writer import TraceWriter


class SiteNetwork(Protocol):
    """A network of pictures, calibrated: what a front end gives for a trace."""

    @property
    def name(self) -> str:
        """What traces and reports call it."""

    @property
    def origin(self) -> str:
        """The program that runs it, in words."""

    @property
    def calibrator(self) -> str:
        """How its scales were found."""

    @property
    def sites(self) -> tuple[Site, ...]:
        """The layers that the array runs, in order."""

    @property
    def skipped(self) -> tuple[str, ...]:
        """What multiplies and accumulates and is no site, by name."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What else a user must know of how it is run."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """More entries for a trace's provenance."""

    def operands(self, pictures: Pictures, left_out: Tally) -> Iterator[Mapping[str, Operands]]:
        """Yield every site's operands, by name, batch after batch.

        Parameters
        ----------
        pictures : Pictures
        left_out : Tally
            Gets the multiply-accumulates of what is no site, before its batch is yielded.
        """


class Dumper:
    """Writes sites' operands into a trace, and counts them.

    Parameters
    ----------
    sites : iterable of Site
    writer : TraceWriter
    """

    def __init__(self, sites: Iterable[Site], writer: TraceWriter) -> None:
        self._writer = writer
        self._layers: dict[str, DumpedLayer] = {}
        for site in sites:
            weights = site.stored_weights
            codes = None if weights is None else weights.codes
            writer.add_layer(site.record, codes, site.stored_bias)
            self._layers[site.name] = DumpedLayer(
                name=site.name,
                op=site.op,
                reason=site.reason,
                keep_8bit=site.keep_8bit,
                signed=site.activation.stored_signed,
                activation_scale=site.record.activation_scale,
            )

    def add(self, site: Site, operands: Operands) -> None:
        """Write and count one batch of a site."""
        self._writer.append(site.name, site.held(operands.activations), operands.weights)
        self._layers[site.name].count(site.layer([operands]), operands.quantised, operands.clipped)

    @property
    def layers(self) -> tuple[DumpedLayer, ...]:
        """What was written of every site."""
        return tuple(self._layers.values())


def dump(
    network: SiteNetwork,
    pictures: Pictures,
    path: str | Path,
    phase: Phase | None = None,
    **document: str,
) -> DumpReport:
    """Write the trace of `pictures`, one batch in memory at a time.

    Parameters
    ----------
    network : SiteNetwork
    pictures : Pictures
    path : str or Path
        The trace file.
    phase : Phase, optional
        What of a language model's work is kept; its network runs one sequence at a time.
    **document
        More fields of the document: license_note, ...

    Raises
    ------
    InputError
        When the place cannot be written, or activations are NaN or infinite.
    """
    about: dict[str, Any] = {
        "pictures": len(pictures),
        "preprocess": pictures.preprocess.spec,
        "skipped": list(network.skipped),
        **network.provenance,
    }
    told = {
        "network": network.name,
        "origin": network.origin,
        "calibrator": network.calibrator,
    }
    left_out = Tally()
    with TraceWriter(path, provenance=about, **(told | document)) as writer:
        dumper = Dumper(network.sites, writer)
        for batch in network.operands(pictures, left_out):
            for site in network.sites:
                operands = batch[site.name]
                dumper.add(site, operands if phase is None else phase.kept(site, operands))
        # Only now is it known how much was left out.
        coverage = left_out.coverage(len(pictures), kind_of(pictures))
        coverage = coverage if phase is None else phase.covered(coverage)
        writer.add_provenance(**coverage.entry())
    return DumpReport(dumper.layers, network.skipped, len(pictures), coverage, network.notes)


def kind_of(pictures: Pictures) -> InputKind:
    """Return what the inputs are: pictures to prepare, or what a file of arrays holds."""
    if pictures.are_pixels:
        return InputKind("picture")
    arrays = pictures.arrays or ({} if pictures.ready is None else {"": pictures.ready})
    main = arrays.get(TOKENS, next(iter(arrays.values())))
    return InputKind.of(main.shape, whole_numbers=main.dtype.kind in "iu")


class Collector:
    """Keeps sites' operands in memory, for a trace of a few inputs."""

    def __init__(self, sites: Iterable[Site]) -> None:
        self._sites = tuple(sites)
        self._batches: dict[str, list[Operands]] = {site.name: [] for site in self._sites}

    def add(self, site: Site, operands: Operands) -> None:
        """Keep one batch of a site."""
        self._batches[site.name].append(operands)

    def trace(self, **document: Any) -> Trace:
        """Return the trace; `document`: its fields."""
        layers = [site.layer(self._batches[site.name]) for site in self._sites]
        return Trace(layers, **document)


def trace_of(
    network: SiteNetwork, pictures: Pictures, sites: Sequence[Site] | None = None
) -> Trace:
    """Return the trace of a few pictures, in memory; `sites`: in the place of the network's."""
    sites = network.sites if sites is None else sites
    collector, left_out = Collector(sites), Tally()
    for batch in network.operands(pictures, left_out):
        for site in sites:
            collector.add(site, batch[site.name])
    coverage = left_out.coverage(len(pictures), kind_of(pictures))
    return collector.trace(
        network=network.name,
        origin=network.origin,
        calibrator=network.calibrator,
        provenance=dict(network.provenance) | coverage.entry(),
    )
