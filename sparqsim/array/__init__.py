"""The systolic array: its configuration, its dataflows, and how long it takes.

Closed forms and recurrences; the definition of the same times is in `sparqsim.event`.
"""
