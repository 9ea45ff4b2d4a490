"""Figures from results, drawn with matplotlib (imported nowhere else).

Every `plot_*` writes one file, .svg, .pdf or .png by its suffix; every `*_figure` returns the matplotlib Figure.
Equal input gives equal bytes.
"""

from sparqsim.plot.layers import layers_figure, plot_layers
from sparqsim.plot.pareto import pareto_figure, plot_pareto
from sparqsim.plot.pareto_points import ParetoPoint, pareto_points
from sparqsim.plot.speedup import plot_speedup, speedup_figure
from sparqsim.plot.style import WIDTHS_INCHES, figure_format, save_figure
from sparqsim.plot.utilization import plot_utilization, utilization_figure

__all__ = [
    "WIDTHS_INCHES",
    "ParetoPoint",
    "figure_format",
    "layers_figure",
    "pareto_figure",
    "pareto_points",
    "plot_layers",
    "plot_pareto",
    "plot_speedup",
    "plot_utilization",
    "save_figure",
    "speedup_figure",
    "utilization_figure",
]
