# SPDX-License-Identifier: Apache-2.0
r"""Say how well EEG finds the image that was seen, and an image the EEG of it, beside chance.

    eeg-hf eval-retrieval --embeds runs/test.npz --metric recall@1,5,10 --also mrr,ndcg \
        --out runs/retrieval.json
    eeg-hf eval-retrieval --embeds runs/test.npz --average_repetitions --metric recall@1,5
    eeg-hf eval-retrieval --embeds runs/test.npz --resample subject --n_way 200
    # methods in one table, several files of one are its seeds: mean and standard deviation
    eeg-hf eval-retrieval --embeds "EEG-CLIP=runs/clip-*/test.npz" ridge=runs/ridge.npz \
        --metric recall@1,5 --out runs/comparison.json

eeg-hf export-embeddings writes the embeddings. The zero-shot score of THINGS-EEG2 is `recall@1` and
`recall@5` from EEG to image among its 200 test images: top-1 and top-5 of 200. The literature averages the 80
repetitions of an image before the model (prepare with average_repetitions); `--average_repetitions` averages
their embeddings here, before the similarity.

Of several people each is scored alone, and all together; from image to EEG everybody is asked for his own
trials. `recall@K` is the share of queries with a correct item among the first K. Intervals are 95 % of
bootstraps over images, or what --resample says. Methods are compared on the same trials and images only.
"""

from ..experiments.retrieval_arguments import RetrievalArguments
from .parsing import Command

COMMAND = main = Command(
    "eval-retrieval",
    __doc__,
    "retrieval",
    (RetrievalArguments,),
)

if __name__ == "__main__":
    main()
