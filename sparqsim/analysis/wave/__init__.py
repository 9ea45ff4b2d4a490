"""Waveforms of the array: value change dumps of the cycles around one tile."""

from sparqsim.analysis.wave.window import window_of
from sparqsim.analysis.wave.writing import write_wave

__all__ = ["window_of", "write_wave"]
