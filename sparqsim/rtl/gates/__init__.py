"""Energy of gates: cells from a liberty file, a netlist of them, what toggles, what it costs."""
