"""Networks in: PyTorch, ONNX and TFLite become traces, or run whole in a design's arithmetic."""
