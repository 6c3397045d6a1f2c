# SPDX-License-Identifier: Apache-2.0
"""Trained models on new data: pipelines for labels and embeddings, tokens of a codec.

`pipelines` goes from a recording to labels or embeddings. `tokens` codes and decodes signals with an
[`EEGFSQModel`]; `window_tokens` adds the tokens to a prepared corpus, `recording_tokens` stores a recording
as a file of tokens.
"""
