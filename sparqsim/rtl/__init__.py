"""The arrays and PE designs as SystemVerilog, run and synthesised with open tools to check what is
simulated.
"""
