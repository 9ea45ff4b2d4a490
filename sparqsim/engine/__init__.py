"""The story: `simulate` and `compare` bring a trace, designs and an array together.

By the fast engine, or by the processes that define it; the report is the same.
"""
