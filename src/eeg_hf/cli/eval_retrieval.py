# SPDX-License-Identifier: Apache-2.0
r"""Evaluate image retrieval: how well EEG finds the image that was seen, and an image the EEG, beside chance.

    eeg-hf eval-retrieval --embeds runs/test.npz --metric recall@1,5,10 --also mrr,ndcg \
        --output runs/retrieval.json
    eeg-hf eval-retrieval --embeds runs/test.npz --average_repetitions --metric recall@1,5
    eeg-hf eval-retrieval --embeds runs/test.npz --resample subject --n_way 200
    # several methods in one table; several files of one method are its seeds
    eeg-hf eval-retrieval --embeds "EEG-CLIP=runs/clip-*/test.npz" ridge=runs/ridge.npz \
        --metric recall@1,5 --output runs/comparison.json

eeg-hf export-embeddings writes the embeddings. The zero-shot score of THINGS-EEG2 is `recall@1` and
`recall@5` from EEG to image among its 200 test images. The literature averages the 80 repetitions of an image
before the model (prepare with average_repetitions); `--average_repetitions` averages their embeddings,
before the similarity.

Each subject is scored alone, then all together; from image to EEG, only the trials of the same subject are
searched. `recall@K` is the share of queries with a correct item among the first K. Intervals cover 95 % of
bootstraps over images, or over what --resample names. Methods are compared on the same trials and images.
"""

from ..experiments.clip.arguments import RetrievalArguments
from .parsing import Command

COMMAND = main = Command("eval-retrieval", __doc__, "clip.retrieval", (RetrievalArguments,))

if __name__ == "__main__":
    main()
