"""TFLite networks: their own 8-bit codes, from the interpreter (extra `tflite`)."""
