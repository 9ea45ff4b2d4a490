"""Bits of a network's layers, searched for: HAGO's greedy, and best answers within a budget.

`hardware.py`: what a PE design takes and where it cannot; `space.py`: the edges and their choices;
`measuring.py`: what a choice answers and takes; `log.py`: every trial on disk; `strategies.py`: the
two ways to search; `run.py`: all of it to a record.
"""
