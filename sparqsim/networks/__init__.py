"""Networks in: PyTorch, ONNX and TFLite become traces, or run whole in a design's arithmetic.

A front end finds a network's layers, as `Site`s, and runs it. Observing, dumping, computing under a
design and counting answers are written here, once.
"""
