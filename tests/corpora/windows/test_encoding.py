# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from eeg_hf.corpora.windows.encoding import quantize, window_schema


@pytest.mark.parametrize("amplitude", [1e-6, 1e-3, 1.0, 37.3, 1e3, 1e6])
def test_no_sample_loses_more_than_half_a_step_and_none_is_clipped(amplitude):
    values = (np.random.default_rng(0).standard_t(3, size=(50, 4, 300)) * amplitude).astype(np.float32)
    values[:, 1] = 0.0
    values[:, 2] = np.abs(values[:, 2])
    counts, scale = quantize(values)
    assert counts.dtype == np.dtype("<i2") and scale.dtype == np.float32
    error = np.abs(values.astype(np.float64) - counts * scale[..., None].astype(np.float64))
    assert (error <= scale[..., None].astype(np.float64) / 2 * (1 + 1e-9)).all()
    assert (np.abs(counts[:, [0, 2, 3]]).max(axis=-1) == 32767).all()
    assert (scale[:, 1] == 1.0).all() and not counts[:, 1].any()


def test_a_label_cannot_take_the_name_of_a_column():
    with pytest.raises(ValueError, match=r"labels \['signal', 'task'\]"):
        window_schema({"task": str, "signal": float, "age": float})
