"""Small traces for quantization cards: three layers, of which one thing can be changed."""

import numpy as np

import sparqsim

#: (M, K, N) of the layers.
SHAPES = {"in": (6, 8, 4), "mid": (5, 12, 6), "out": (4, 10, 3)}
KEPT = ("in", "out")


def layer(name, seed=0, **fields):
    m, k, n = SHAPES[name]
    rng = np.random.default_rng([seed, m, k, n])
    high = 2 ** fields.get("activation_bits", 8)
    half = 2 ** (fields.get("weight_bits", 8) - 1)
    signed = fields.pop("signed", False)
    x = rng.integers(-100, 100, (m, k)).astype(np.int8)
    if not signed:
        x = rng.integers(0, high, (m, k)).astype(np.uint8)
    w = rng.integers(-half, half, (k, n)).astype(np.int8)
    told = {"weight_scales": tuple(0.1 + 0.1 * at for at in range(n)), "activation_scale": 0.5}
    return sparqsim.Layer.from_gemm(name, x, w, **told | fields)


def trace(*, kept=KEPT, seed=0, every=None, of_layer=None, **document):
    """`every`: fields of all layers; `of_layer`: of some, by name."""
    layers = [
        layer(
            name,
            seed,
            **{"keep_8bit": name in kept} | (every or {}) | (of_layer or {}).get(name, {}),
        )
        for name in SHAPES
    ]
    about = {
        "network": "three layers",
        "calibrator": "mean-max",
        "provenance": {"coverage": {"inputs": 2, "left_out": []}},
    }
    return sparqsim.Trace(layers, **about | document)


def stating(**facts):
    """The provenance of a trace that states facts for its card."""
    return {"coverage": {"inputs": 2, "left_out": []}, "card": facts}


def recipe(**facts):
    """The provenance of a trace that has a recipe."""
    return {"coverage": {"inputs": 2, "left_out": []}, "recipe": facts}
