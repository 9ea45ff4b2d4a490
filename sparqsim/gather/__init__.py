"""Embedding gathers: tables, look-ups, where rows lie, and when a gather unit has read them.

`sparqsim.engine.gather` puts them together; `sparqsim.event.gather` defines the timing.
"""
