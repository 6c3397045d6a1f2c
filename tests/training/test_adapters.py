# SPDX-License-Identifier: Apache-2.0
"""What is saved with an adapter: every new head, and the statistics of the training windows."""

import copy

import pytest
import torch

from eeg_hf import EEGFoundationConfig, EEGFoundationForSequenceClassification
from eeg_hf.training.adapters import HEADS, add_adapter

SIZE = {"d_model": 16, "n_layers": 1, "n_heads": 2, "d_ff": 32, "overlap": 0.0}


@pytest.mark.parametrize(
    "fields",
    [{}, {"second_order": True}, {"second_order": True, "time_course_seconds": 1.0}],
)
def test_an_adapter_brings_back_heads_and_statistics(tmp_path, fields):
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    model = EEGFoundationForSequenceClassification(EEGFoundationConfig(**SIZE, **fields))
    assert {name for name, _ in model.named_children()} - {"model"} <= {*HEADS}
    fresh = copy.deepcopy(model)
    adapted = add_adapter(model, "lora").eval()
    for weight in adapted.parameters():
        if weight.requires_grad:
            torch.nn.init.normal_(weight, std=0.1)
    for name, buffer in adapted.named_buffers():
        if name.endswith(".scale"):
            buffer.data.uniform_(1, 2)
    adapted.save_pretrained(tmp_path)
    eeg = torch.randn(2, 19, 400)
    again = peft.PeftModel.from_pretrained(fresh, tmp_path).eval()
    with torch.no_grad():
        expected, found = adapted(input_values=eeg).logits, again(input_values=eeg).logits
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
