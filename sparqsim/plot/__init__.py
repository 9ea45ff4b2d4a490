"""Figures from results, drawn with matplotlib (imported nowhere else).

Every `plot_*` returns the matplotlib Figure, and writes a file, .svg, .pdf or .png by its suffix,
where a path is given; those with one pair of axes draw on yours, `ax=`. `*_figure` is an older name
of the same function. Equal input gives equal bytes.
"""

from sparqsim.plot.accuracy import accuracy_figure, plot_accuracy
from sparqsim.plot.adc import adc_figure, plot_adc
from sparqsim.plot.adc_points import converter_points
from sparqsim.plot.bandwidth import bandwidth_figure, plot_bandwidth
from sparqsim.plot.curves import curves_figure, plot_curves
from sparqsim.plot.energy import energy_figure, plot_energy
from sparqsim.plot.layers import layers_figure, plot_layers
from sparqsim.plot.pareto import pareto_figure, plot_pareto
from sparqsim.plot.pareto_points import ParetoPoint, pareto_points
from sparqsim.plot.points import speedup_curves
from sparqsim.plot.roofline import plot_roofline, roofline_figure
from sparqsim.plot.speedup import plot_speedup, speedup_figure
from sparqsim.plot.style import WIDTHS_INCHES, figure_format, save_figure
from sparqsim.plot.utilization import plot_utilization, utilization_figure

__all__ = [
    "WIDTHS_INCHES",
    "ParetoPoint",
    "accuracy_figure",
    "adc_figure",
    "bandwidth_figure",
    "converter_points",
    "curves_figure",
    "energy_figure",
    "figure_format",
    "layers_figure",
    "pareto_figure",
    "pareto_points",
    "plot_accuracy",
    "plot_adc",
    "plot_bandwidth",
    "plot_curves",
    "plot_energy",
    "plot_layers",
    "plot_pareto",
    "plot_roofline",
    "plot_speedup",
    "plot_utilization",
    "roofline_figure",
    "save_figure",
    "speedup_curves",
    "speedup_figure",
    "utilization_figure",
]
