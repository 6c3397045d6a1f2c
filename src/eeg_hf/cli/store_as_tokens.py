# SPDX-License-Identifier: Apache-2.0
"""Store a recording as tokens, read it back, and see what was lost.

    eeg-hf store-as-tokens --codec runs/codec --output_dir runs/tokens     # a simulated recording
    eeg-hf store-as-tokens --codec runs/codec --corpus eegmat --output_dir runs/tokens
    eeg-hf store-as-tokens --codec runs/codec --recording s01.edf --output_dir runs/tokens

Writes <recording>.tokens.safetensors and <recording>.png, a picture of the recording and of what came back.
Compared is the recording as the codec's feature extractor cleans it: filters and resampling are no loss of
the tokens. eeg-hf train-tokenizer trains a codec.
"""

from ..experiments.token_storage_arguments import TokensArguments
from .parsing import Command

COMMAND = main = Command(
    "store-as-tokens",
    __doc__,
    "token_storage",
    (TokensArguments,),
)

if __name__ == "__main__":
    main()
