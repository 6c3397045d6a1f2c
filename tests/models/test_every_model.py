# SPDX-License-Identifier: Apache-2.0
"""Each model of the package passes the list that all share."""

import pytest
import torch

from tests.models.model_checks import CASES, CHECKS

# One of each architecture, with most of its code: capturing a graph takes seconds
COMPILED = ("foundation-bands", "codec-conv", "masked-vae-pretraining", "clip")


@pytest.mark.parametrize(
    ("case", "check"),
    [
        pytest.param(case, check, id=f"{case.name}-{check.__name__}")
        for case in CASES
        for check in CHECKS
        if case.name in COMPILED or "compiles" not in check.__name__
    ],
)
def test_every_model_passes(case, check, tmp_path):
    with torch.set_grad_enabled("gradient" in check.__name__):
        check(case, tmp_path)


def test_every_architecture_is_checked():
    from eeg_hf.auto import MODEL_CLASSES

    checked = {(type(case.config).__name__, case.auto_class.__name__) for case in CASES}
    assert checked == {(config, auto) for config, autos in MODEL_CLASSES.items() for auto in autos}
