"""What a design costs: bit operations, published fits and rooflines before a run; energy of a run,
from exact counts, a model fitted on gates, and words of memory.
"""
