"""How real numbers become 8-bit codes.

`calibrate`: how scales of activations are found; `codes`: the one rule for codes that are chosen.
"""
