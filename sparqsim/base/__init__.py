"""What every room stands on; it knows nothing of arrays.

Errors, numbers and names from outside, files, records, limits, kernels.
"""
