# SPDX-License-Identifier: Apache-2.0
"""Each model of the package passes the list that all share."""

import pytest
import torch

from tests.models.model_checks import CASES, CHECKS

# One of each architecture, with most of its code: capturing a graph takes seconds
COMPILED = {
    "check_it_compiles_as_one_graph": (
        "foundation-second-order",
        "codec-conv",
        "masked-vae-pretraining",
        "clip",
    ),
    "check_an_export_takes_batches_of_any_size": (
        "foundation-classification",
        "codec-conv",
        "masked-vae-pretraining",
        "clip",
    ),
}
WITH_GRADIENTS = ("check_every_parameter_gets_a_gradient", "check_fsdp2_shards_it")


@pytest.mark.parametrize(
    ("case", "check"),
    [
        pytest.param(case, check, id=f"{case.name}-{check.__name__}")
        for case in CASES
        for check in CHECKS
        if case.name in COMPILED.get(check.__name__, (case.name,))
    ],
)
def test_every_model_passes(case, check, tmp_path):
    with torch.set_grad_enabled(check.__name__ in WITH_GRADIENTS):
        check(case, tmp_path)


def test_every_architecture_is_checked():
    from eeg_hf.auto import MODEL_CLASSES

    checked = {(type(case.config).__name__, case.auto_class.__name__) for case in CASES}
    # Masks of channels mean nothing to these, which have tests of their own
    hosted = {"BraindecodeConfig", "EEGClassicalConfig", "ResNet1dGRUConfig", "HMSEnsembleConfig"}
    own = {config: autos for config, autos in MODEL_CLASSES.items() if config not in hosted}
    assert checked == {(config, auto) for config, autos in own.items() for auto in autos}
