"""Crossbars of cells that hold slices of weights: what `sparqsim.engine.models.reram` is made of.

`cells.py` cuts codes into what cells hold and drivers apply, `plan.py` lays a layer out on
crossbars and times it, `sums.py` makes its sums, `resolution.py` finds bits of converters.
`sparqsim.event.crossbar` is the definition of all of it.
"""
