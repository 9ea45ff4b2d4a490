"""One file per kind of circuit in `sv/`: which designs it is, found by their classes."""
