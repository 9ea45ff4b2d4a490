"""TFLite networks: their own 8-bit activations and weights, from the interpreter (extra
`tflite`).
"""
