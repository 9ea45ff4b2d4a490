"""Calibrators: the clip each one chooses, and that cutting pictures into batches changes
nothing.
"""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqsim import InputError
from sparqsim.quantise.calibrate import calibrator
from sparqsim.quantise.observers import BINS, CLIPS_TRIED

SPECS = [
    "mean-max",
    "max",
    "percentile:99",
    "percentile:100",
    "mse",
    "mse:4",
    "mse:2",
    "lp:3",
    "lp:0.5:4",
]


def pictures(seed=0, count=12, signed=False):
    """Pictures whose ranges differ by powers of two, so that histograms have to widen; half the
    values are zero.
    """
    random = np.random.default_rng(seed)
    values = random.normal(size=(count, 5, 7)) * 2.0 ** random.integers(-8, 9, (count, 1, 1))
    return (values if signed else np.maximum(values, 0)).astype(np.float32)


def observed(spec, batches, signed=None):
    observer = calibrator(spec).observer(signed)
    for batch in batches:
        observer.update(batch)
    return observer


@pytest.mark.parametrize("spec", SPECS)
@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 1000), cuts=st.lists(st.integers(0, 12), max_size=5), signed=st.booleans()
)
def test_batches_do_not_matter(spec, seed, cuts, signed):
    data = pictures(seed, signed=signed)
    at_once, cut = observed(spec, [data]), observed(spec, np.split(data, sorted(cuts)))
    assert (cut.scale(), cut.signed, cut.lowest) == (
        at_once.scale(),
        at_once.signed,
        at_once.lowest,
    )


@pytest.mark.parametrize("spec", SPECS)
def test_scales_go_with_the_data(spec):
    data = pictures(3)
    assert observed(spec, [data * 4]).scale() == 4 * observed(spec, [data]).scale()


def test_clips_by_hand():
    data = np.array([[0, 1, 2, 4], [0, 8, 0, 8], [0, 0, 0, 3]], np.float32)
    assert observed("mean-max", [data]).scale() == np.float32((4 + 8 + 3) / 3 / 255)
    assert observed("max", [data]).scale() == np.float32(8 / 255)
    assert observed("mean-max", [-data]).scale() == np.float32(5 / 127)
    assert observed("max", [data], signed=True).scale() == np.float32(8 / 127)


def test_percentile_is_the_upper_edge_of_its_bin_among_nonzero_values():
    values = np.arange(1, 1001, dtype=np.float64)
    data = np.concatenate([np.zeros(5000), values])[None]
    width = 1024 / BINS  # the range is the power of two above 1000
    for percent in (10, 50, 99.9):
        clip = observed(f"percentile:{percent}", [data]).scale() * 255
        exact = np.sort(values)[round(percent * 10) - 1]
        # The scale is float32, so the clip is the bin's edge to within half of 2^-23.
        assert exact < clip <= (exact + width) * (1 + 2**-24)
    assert observed("percentile:100", [data]).scale() == np.float32(1000 / 255)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("power", [0.5, 2, 3])
@pytest.mark.parametrize("signed", [False, True])
def test_least_error_is_the_least_of_a_plain_search(bits, power, signed):
    data = np.random.default_rng(bits).exponential(size=(4, 2000)) * (-1) ** np.arange(2000)
    data = data if signed else np.abs(data)
    top, step = (127, 1 << (8 - bits)) if signed else (255, 1 << (8 - bits))

    def cost(scale):
        used = np.minimum(np.rint(np.abs(data) / (scale * step)), top // step) * scale * step
        return (np.abs(used - np.abs(data)) ** power).mean()

    found = observed(f"lp:{power}:{bits}", [data]).scale()
    others = np.linspace(0.01, 1.2, 500) * np.abs(data).max() / top
    # 1 %: bins stand for their middles, and the clips tried are a grid.
    assert cost(found) <= 1.01 * min(cost(scale) for scale in others)
    assert cost(found) <= cost(observed("max", [data]).scale())


def clip_by_definition(observer, power, bits):
    """The clip of least error in plain Python, from the histogram; the first of equal ones."""
    counts, width = observer.histogram()
    middles = [((place + 0.5) * width, int(n)) for place, n in enumerate(counts) if n]
    top, step = observer.top_code, 1 << (8 - bits)
    best = None
    for part in range(1, CLIPS_TRIED + 1):
        clip = observer.largest * top / (top // step * step) * part / CLIPS_TRIED
        unit = step * clip / top
        error = math.fsum(
            n * abs(min(round(value / unit), top // step) * unit - value) ** power
            for value, n in middles
        )
        if best is None or error < best[0]:
            best = error, clip
    return best


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@settings(deadline=None, max_examples=12)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(["exponential", "outlier", "few", "even"]),
    signed=st.booleans(),
)
def test_the_clip_of_least_square_is_that_of_a_search_in_plain_python(bits, seed, kind, signed):
    random = np.random.default_rng(seed)
    data = {
        "exponential": lambda: random.exponential(size=300),
        "outlier": lambda: np.append(random.exponential(size=200), 10.0 ** random.integers(1, 6)),
        "few": lambda: random.integers(0, 5, 40) * 2.0 ** random.integers(-30, 30),
        "even": lambda: np.arange(256.0),
    }[kind]()
    observer = observed(f"mse:{bits}", [data[None].astype(np.float32)], signed)
    if observer.largest:
        error, clip = clip_by_definition(observer, 2.0, bits)
        found = observer.clip()
        if found != clip:  # additions in another order; only where two are as good
            counts, width = observer.histogram()
            values, step = (np.arange(BINS) + 0.5) * width, 1 << (8 - bits)
            unit = step * found / observer.top_code
            held = np.minimum(np.rint(values / unit), observer.top_code // step) * unit
            assert counts @ (held - values) ** 2 == pytest.approx(error, rel=1e-12)


@pytest.mark.parametrize("counted", ["few", "too many"])
@pytest.mark.parametrize("bits", [2, 4, 8])
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6), scale=st.integers(-30, 30), size=st.integers(1, 3000))
def test_clips_left_out_by_sums_over_bins_are_never_the_least(counted, bits, seed, scale, size):
    """The same clip as where every one is tried, bit for bit; also beyond what int64 adds up."""
    random = np.random.default_rng(seed)
    data = random.gamma(0.3, size=(1, size)) * 2.0**scale
    observer = observed(f"mse:{bits}", [data.astype(np.float32)])
    if counted == "too many":
        observer._counts *= 1 << 40
    if observer.largest:
        all_tried = observer.clips_of([2.0, 3.0])[0]
        assert observer.clip() == all_tried


def test_mse_is_lp_2_and_8_bits_are_the_default():
    data = pictures(5)
    assert (
        observed("mse", [data]).scale()
        == observed("mse:8", [data]).scale()
        == observed("lp:2", [data]).scale()
    )
    assert observed("mse:4", [data]).scale() == observed("lp:2:4", [data]).scale()


def test_signedness_is_given_or_found():
    assert not observed("max", [pictures()]).signed
    assert observed("max", [pictures(), -pictures()]).signed
    assert observed("max", [pictures()], signed=True).signed
    assert observed("max", [-pictures()]).lowest == -pictures().max()


@pytest.mark.parametrize("spec", SPECS)
def test_zeros_and_nothing_have_a_scale(spec):
    assert observed(spec, [np.zeros((2, 3), np.float32)]).scale() == 1.0
    assert observed(spec, [np.zeros((0, 3), np.float32)]).scale() == 1.0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("spec", SPECS)
def test_values_that_are_not_finite_are_refused(spec, value):
    with pytest.raises(InputError, match="NaN or infinite"):
        observed(spec, [np.array([[1, value]], np.float32)])


@pytest.mark.parametrize("spec", ["mse", "percentile:99.9"])
def test_memory_does_not_grow_with_pictures(spec):
    batch = np.abs(np.random.default_rng(0).normal(size=(1, 100_000))).astype(np.float32)
    tracemalloc.start()
    observed(spec, [batch] * 2)
    few = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    observed(spec, (batch * (1 + number) for number in range(50)))
    many = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert many < few + 2 * batch.nbytes


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("meanmax", "did you mean mean-max"),
        ("percentile", "expected one of mean-max, max"),
        ("percentile:0", "above 0 and up to 100"),
        ("percentile:101", "above 0 and up to 100"),
        ("percentile:nan", "P='nan'"),
        ("mse:9", "BITS='9', expected 2 to 8"),
        ("mse:1", "BITS='1'"),
        ("lp", "not known"),
        ("lp:x", "P='x'"),
        ("lp:2:x", "BITS='x'"),
        ("max:1", "not known"),
    ],
)
def test_unknown_calibrators_are_refused(spec, message):
    with pytest.raises(InputError, match=message):
        calibrator(spec)


@pytest.mark.parametrize("bits", [4, 6, 8])
@pytest.mark.parametrize("seed", range(6))
def test_bins_stand_for_their_middles(bits, seed):
    """Plain loops over a histogram of middles and every clip tried: the scale is that of the least
    error.

    Nearly all values lie in bins as wide as the finest steps tried, close to an edge: edges would
    have another least error than middles.
    """
    largest, width, times, power = 1023.0, 1024 / BINS, 20_000, 0.5
    places = np.random.default_rng(seed).integers(1, 60, 3).tolist()
    values = [(place + 0.9) * width for place in places]
    middles = {(place + 0.5) * width: times * places.count(place) for place in places}
    middles[(int(largest / width) + 0.5) * width] = 1
    coarse = 2 ** (8 - bits)
    levels = 255 // coarse
    best = None
    for number in range(1, CLIPS_TRIED + 1):
        clip = largest * 255 / (levels * coarse) * number / CLIPS_TRIED
        step = coarse * clip / 255
        error = sum(
            count * abs(min(round(middle / step), levels) * step - middle) ** power
            for middle, count in middles.items()
        )
        best = (error, clip) if best is None or error < best[0] else best
    data = np.array([values * times + [largest]])
    assert observed(f"lp:{power}:{bits}", [data]).scale() == np.float32(best[1] / 255)


OWN = """
from sparqsim.quantise.calibrate import Observer

class Quantile(Observer):
    def __init__(self, signed=None, quantile="0.5"):
        super().__init__(signed)
        self.quantile, self.maxima = float(quantile), []

    def look(self, batch):
        self.maxima += batch.maxima.tolist()

    def clip(self):
        ordered = sorted(self.maxima)
        return ordered[int(self.quantile * (len(ordered) - 1))]

class Half(Observer):
    def look(self, batch):
        pass

class Odd(Half):
    def clip(self):
        return float("nan")

Text = "no class"
"""


def test_a_calibrator_from_a_file(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(OWN)
    maxima = sorted(float(np.abs(each).max()) for each in pictures())
    for spec, at in (("", 5), (":1", 11), (":0", 0)):
        made = calibrator(f"{file}:Quantile{spec}")
        assert made.spec == f"own.py:Quantile{spec}", "records hold no folder"
        for cuts in ([12], [5, 7]):
            observer = made.observer()
            for batch in np.split(pictures(), np.cumsum(cuts)[:-1]):
                observer.update(batch)
            assert observer.scale() == np.float32(maxima[at] / 255)
    odd = calibrator(f"{file}:Odd").observer()
    odd.update(pictures())
    with pytest.raises(InputError, match=r"Odd\.clip\(\) gives nan, expected a magnitude"):
        odd.scale()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (":Half", r"own\.py:Half is unfinished: expected clip"),
        (":Text", "expected a subclass of Observer"),
        (":Nothing", "no class 'Nothing'"),
        (":Quantile:x", "could not convert"),
        (":Quantile:1:2", "positional argument"),
        ("", "names a file but no class"),
    ],
)
def test_a_calibrator_from_a_file_that_is_none(name, message, tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    with pytest.raises(InputError, match=message):
        calibrator(f"{tmp_path / 'own.py'}{name}")
