"""Products through floats: exact, and silent about flags that say nothing."""

import warnings

import numpy as np
import pytest

from sparqsim.base.exact import exact_matmul, float_product, integer_product


class Flagging(np.ndarray):
    """Operands whose product raises the flag of an invalid operation, and is right: OpenBLAS's."""

    def __matmul__(self, other):
        np.subtract(np.inf, np.inf)
        return np.asarray(self) @ np.asarray(other)


def test_a_flag_of_lanes_that_are_dropped_warns_nobody():
    x, w = np.eye(3), np.arange(9.0).reshape(3, 3)
    flagging = x.view(Flagging)
    with pytest.warns(RuntimeWarning, match="invalid value"):
        flagging @ w
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(float_product(flagging, w), w)
        assert np.array_equal(integer_product(flagging, w), w)


def test_a_product_that_is_no_number_is_no_integer():
    with pytest.warns(RuntimeWarning, match="invalid value encountered in cast"):
        integer_product(np.array([[np.nan]]), np.ones((1, 1)))


@pytest.mark.parametrize("k", [1, 7, 258, 259, 1000])
def test_sums_beyond_what_float32_holds_are_exact(k):
    x = np.full((2, k), 255, np.int64)
    x[1] -= np.arange(k) % 2
    w = np.full((k, 2), -257, np.int64)
    assert exact_matmul(x, w).tolist() == [
        [sum(int(a) * -257 for a in row)] * 2 for row in x.tolist()
    ]
