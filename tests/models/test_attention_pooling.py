# SPDX-License-Identifier: Apache-2.0
"""The pooling of an attentive probe."""

import pytest
import torch

from eeg_hf import EEGFoundationConfig, EEGFoundationForSequenceClassification
from eeg_hf.models.attention_pooling import AttentionPooling


def test_a_query_that_asks_nothing_gives_the_mean_of_the_real_tokens():
    torch.manual_seed(0)
    pooling = AttentionPooling(8, 2)
    pooling.query.data.zero_()
    tokens, is_real = torch.randn(2, 3, 4, 8), torch.ones(2, 3, 4, dtype=torch.bool)
    is_real[0, 1:] = False
    is_real[1] = False  # nothing is real: the mean of all, and no NaN
    expected = torch.stack([pooling.value(tokens[0, 0]).mean(0), pooling.value(tokens[1]).mean((0, 1))])
    torch.testing.assert_close(pooling(tokens, is_real), expected)


def test_a_classifier_with_attention_reads_only_what_is_real(tmp_path):
    torch.manual_seed(0)
    config = EEGFoundationConfig(
        **{"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16},
        num_labels=3,
        classifier_pooling="attention",
    )
    model = EEGFoundationForSequenceClassification(config).eval()
    windows = torch.randn(2, 19, 400)
    mask = torch.ones(2, 19, dtype=torch.bool)
    mask[:, 15:] = False
    other = windows.clone()
    other[:, 15:] = 100.0
    with torch.no_grad():
        expected = model(windows, channel_mask=mask).logits
        torch.testing.assert_close(model(other, channel_mask=mask).logits, expected)
        assert not torch.allclose(model(windows).logits, expected)
        model.save_pretrained(tmp_path)
        loaded = EEGFoundationForSequenceClassification.from_pretrained(tmp_path)
        assert torch.equal(loaded(windows, channel_mask=mask).logits, expected)
    with pytest.raises(ValueError, match="classifier_pooling"):
        EEGFoundationConfig(classifier_pooling="max")
