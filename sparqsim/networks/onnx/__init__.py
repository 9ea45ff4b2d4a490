"""ONNX networks: traces by onnxruntime, shapes without data, accuracy (extra `onnx`)."""
