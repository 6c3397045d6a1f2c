# SPDX-License-Identifier: Apache-2.0
"""Each architecture passes the common tests of transformers (`ModelTesterMixin`)."""

import re
import unittest

import torch
from torch import nn
from transformers import PreTrainedConfig

from eeg_hf import (
    EEGCLIPConfig,
    EEGCLIPModel,
    EEGConvTransformerConfig,
    EEGConvTransformerModel,
    EEGFoundationConfig,
    EEGFoundationForPreTraining,
    EEGFoundationForSequenceClassification,
    EEGFoundationModel,
    EEGFSQConfig,
    EEGFSQModel,
    EEGMaskedVAEConfig,
    EEGMaskedVAEForPreTraining,
    EEGMaskedVAEModel,
)
from tests.models.transformers_tests import load_common_tests

common = load_common_tests()

# Tests by the beginning of their name, and why no model of this package takes them. Those that need a GPU
# skip themselves.
NOT_APPLICABLE = {
    "test_(resize|tied_|load_save_without_tied|model_weights_reload_no_missing_tied)": "no vocabulary",
    "test_(inputs_embeds|feed_forward_chunking|problem_types)": "inputs are signals; losses are by task",
    "test_(causal_lm|encoder_decoder|generation_|sliding_window|model_forward_default)": "of language models",
    "test_(model_rope|vision_axial)": "positions are embedded, not rotated",
    "test_(eager_matches_batched|moe_|output_router)": "no experts",
    "test_load_with_mismatched_shapes": "it changes the size of a vocabulary",
    "test_bc_torch_dtype": "of the loader, not of the model",
    "test_training_gradient_checkpointing_use_reentrant_false": "the default, which has its own test",
    "test_(tp_plan|reverse_loading|can_load_from_already)": "no plan to shard tensors, no renamed weights",
    "test_get_(text|audio|video|image)_features": "get_image_features returns vectors, of any image tower",
    "test_(flash_attn|kernels)": "kernels of the Hub are not loaded here",
    "test_keep_in_fp32|test_save_load_keys_to_ignore": "every weight takes every dtype and is saved",
    "test_gradient_checkpointing_backward": "configs from before transformers 4.12",
    # sdpa against eager: with and without a mask, in float32 and bfloat16; these are the same kernels again
    r"test_eager_matches_sdpa_inference_\d+_fp16": "float16 is in model_checks.py",
    r"test_eager_matches_sdpa_inference_\d+_.*_sdpa_kernels$": "a CPU has one kernel",
    r"test_eager_matches_sdpa_inference_\d+_.*_pad_left": "windows are padded at their end",
}
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}
CONV = {**SMALL, "num_channels": 5, "conv_size": 16}
BATCH, CHANNELS, TIME = 7, 5, 300


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


PLACES = 0.1 * nn.functional.normalize(noise(CHANNELS, 3), dim=-1)
WINDOWS = {
    "input_values": noise(BATCH, CHANNELS, TIME),
    "channel_positions": PLACES.expand(BATCH, -1, -1),
    "attention_mask": torch.arange(TIME).lt(280).expand(BATCH, -1),
}
HIDDEN = torch.zeros(BATCH, CHANNELS, TIME, dtype=torch.bool)
HIDDEN[:, ::2, :200] = True


class Tester:
    """What the mixin asks of a model: a tiny config, inputs, and the sizes that outputs have."""

    is_training = True
    batch_size = BATCH

    def __init__(
        self, config_class: type[PreTrainedConfig], settings: dict, inputs: dict, seq_length: int
    ) -> None:
        self.config_class, self.settings, self.inputs = config_class, settings, inputs
        self.seq_length = seq_length  # tokens of a channel
        for name in ("hidden_size", "num_hidden_layers", "num_attention_heads"):
            setattr(self, name, SMALL[name])

    def get_config(self) -> PreTrainedConfig:
        return self.config_class(**self.settings)

    def prepare_config_and_inputs_for_common(self) -> tuple[PreTrainedConfig, dict]:
        return self.get_config(), {name: value.clone() for name, value in self.inputs.items()}


class CommonTests(common.ModelTesterMixin):
    test_resize_embeddings = False
    test_can_init_all_missing_weights_before_2023 = True
    additional_model_inputs = ["channel_positions", "image_embeds", "sampling_rate"]

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = super()._prepare_for_class(inputs_dict, model_class, return_labels)
        rows = len(inputs["input_values"])
        if "ForPreTraining" in model_class.__name__:  # otherwise it draws another mask each time
            inputs.setdefault("mask", HIDDEN[:rows])
        if return_labels and "Classification" in model_class.__name__:
            inputs["labels"] = torch.zeros(rows, dtype=torch.long)
        return inputs

    def test_model_get_set_embeddings(self):  # that of the mixin wants a vocabulary
        config, _ = self.model_tester.prepare_config_and_inputs_for_common()
        for model_class in self.all_model_classes:
            model = model_class(config)
            assert isinstance(model.get_input_embeddings(), nn.Module)
            other = nn.Linear(2, 2)
            model.set_input_embeddings(other)
            assert model.get_input_embeddings() is other

    def test_model_outputs_equivalence(self):  # that of the mixin subtracts masks, which are bool
        classes = self.all_model_classes
        self.all_model_classes = tuple(each for each in classes if "ForPreTraining" not in each.__name__)
        super().test_model_outputs_equivalence()  # the others: check_it_answers_as_a_tuple


for name in dir(CommonTests):
    if any(re.match(pattern, name) for pattern in NOT_APPLICABLE):
        setattr(CommonTests, name, None)


class TestFoundation(CommonTests, unittest.TestCase):
    all_model_classes = (
        EEGFoundationModel,
        EEGFoundationForPreTraining,
        EEGFoundationForSequenceClassification,
    )

    def setUp(self):
        settings = {**SMALL, "channel_positions": PLACES.tolist(), "n_channels": CHANNELS}
        settings |= {"patch_size": 100, "overlap": 0.0, "scale_factors": [1, 2], "num_labels": 3}
        self.model_tester = Tester(EEGFoundationConfig, settings, WINDOWS, seq_length=3)


class TestMaskedVAE(CommonTests, unittest.TestCase):
    all_model_classes = (EEGMaskedVAEModel, EEGMaskedVAEForPreTraining)

    def setUp(self):
        settings = {**SMALL, "channel_positions": PLACES.tolist(), "n_channels": CHANNELS}
        settings |= {"num_decoder_layers": 1, "latent_size": 8}
        self.model_tester = Tester(EEGMaskedVAEConfig, settings, WINDOWS, seq_length=3)


class TestConvTransformer(CommonTests, unittest.TestCase):
    all_model_classes = (EEGConvTransformerModel,)

    def setUp(self):
        self.model_tester = Tester(EEGConvTransformerConfig, CONV, WINDOWS, seq_length=39)


class TestCLIP(CommonTests, unittest.TestCase):
    all_model_classes = (EEGCLIPModel,)
    _is_composite = True
    test_missing_keys = False  # the encoder's config alone does not describe this model

    def setUp(self):
        settings = {"eeg_config": CONV, "vision_dim": 12, "projection_dim": 8, "projection_hidden_size": 16}
        inputs = {**WINDOWS, "image_embeds": noise(BATCH, 12)}
        self.model_tester = Tester(EEGCLIPConfig, settings, inputs, seq_length=39)


class TestCodec(CommonTests, unittest.TestCase):
    all_model_classes = (EEGFSQModel,)
    has_attentions = False
    test_hidden_states_output = None  # its encoder is a perceptron, without states to look at
    test_retain_grad_hidden_states_attentions = None

    def setUp(self):
        settings = {"patch_size": 60, "hidden_dims": [24], "levels": [8, 5, 3], "use_conditioning": True}
        inputs = {"input_values": WINDOWS["input_values"], "sampling_rate": torch.full((BATCH,), 250.0)}
        self.model_tester = Tester(EEGFSQConfig, settings, inputs, seq_length=5)
