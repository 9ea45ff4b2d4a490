"""ONNX networks: traces by onnxruntime, shapes without data, accuracy under a design's arithmetic
(extra `onnx`).
"""
