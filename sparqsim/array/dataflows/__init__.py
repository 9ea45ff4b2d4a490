"""The dataflows that ship, one file each; they are found by their names."""
