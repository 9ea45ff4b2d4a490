"""Bits of a network's layers, searched for: HAGO's greedy, and best answers within a budget.

`hardware.py`: what a PE design takes and where it cannot; `space.py`: the edges and their choices;
`networks/`: networks whose layers take bits; `measuring.py`: what a choice answers and takes;
`log.py`: every trial on disk; `strategies/`: ways to search, one file each; `run.py`: all of it to
a record.
"""
