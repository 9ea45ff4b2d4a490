"""What made a report: the package, the engine, the trace."""

from __future__ import annotations

from sparqsim.base.version import VERSION
from sparqsim.results.setting import Provenance
from sparqsim.trace import Trace
from sparqsim.trace.coverage import Coverage


def provenance_of(trace: Trace, engine: str) -> Provenance:
    """Return what made a report of a trace; `engine`: how its models were asked."""
    return Provenance(
        version=VERSION,
        engine=engine,
        trace_sha256=trace.sha256,
        network=trace.metadata.network,
        synthetic=trace.metadata.synthetic,
        coverage=Coverage.of(trace.metadata.provenance),
        calibrator=trace.metadata.calibrator,
        folded_batch_norms=_folded_batch_norms(trace),
    )


def _folded_batch_norms(trace: Trace) -> int | None:
    """Return how many batch norms the trace says were folded; None where it does not say."""
    folded = trace.metadata.provenance.get("folded_batch_norms")
    return len(folded) if isinstance(folded, dict) else None
