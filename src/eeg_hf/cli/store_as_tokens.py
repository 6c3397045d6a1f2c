# SPDX-License-Identifier: Apache-2.0
"""Store a recording as tokens, decode it, and measure the loss.

    eeg-hf store-as-tokens --codec runs/codec --output_dir runs/tokens     # a simulated recording
    eeg-hf store-as-tokens --codec runs/codec --corpus eegmat --output_dir runs/tokens
    eeg-hf store-as-tokens --codec runs/codec --recording s01.edf --output_dir runs/tokens

Writes <recording>.tokens.safetensors, and <recording>.png with both signals. The reference is the recording
as the codec's feature extractor cleans it: filtering and resampling are not counted as loss. eeg-hf
train-tokenizer trains a codec.
"""

from ..experiments.codecs.arguments import TokensArguments
from .parsing import Command

COMMAND = main = Command("store-as-tokens", __doc__, "codecs.storage", (TokensArguments,))

if __name__ == "__main__":
    main()
