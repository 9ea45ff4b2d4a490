"""What made a report: the package, the engine, the trace; and the report with its card."""

from __future__ import annotations

from sparqsim.base.version import VERSION
from sparqsim.engine.assignment import Assignment
from sparqsim.results.card import DesignFacts, design_facts, run_card
from sparqsim.results.report import Report
from sparqsim.results.setting import Provenance
from sparqsim.trace import Trace
from sparqsim.trace.coverage import Coverage
from sparqsim.trace.quantisation import Quantisation


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


def with_card(report: Report, run: Assignment, quantisation: Quantisation) -> Report:
    """Return a report with its quantization card; `quantisation`: what its trace says."""
    card = run_card(report, quantisation, designs_of(run))
    return report.model_copy(update={"stored_card": card})


def designs_of(run: Assignment) -> list[DesignFacts]:
    """Return what the designs of an assignment make of operands, the default first."""
    models = [run.default, *(rule.model for rule in run.own_rules)]
    trims = {model.spec: model.trimming for model in models}
    return [design_facts(spec, each) for spec, each in trims.items()]


def _folded_batch_norms(trace: Trace) -> int | None:
    """Return how many batch norms the trace says were folded; None where it does not say."""
    folded = trace.metadata.provenance.get("folded_batch_norms")
    return len(folded) if isinstance(folded, dict) else None
