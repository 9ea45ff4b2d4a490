"""Discrete-event models in SimPy: the definition of the timing that the fast forms equal."""
