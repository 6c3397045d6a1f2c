# SPDX-License-Identifier: Apache-2.0
"""Images of shapes and colours, and embeddings of them and of EEG that are made of what they show."""

import numpy as np

from eeg_hf.corpora import SimulatedThings


def simulated_pairs(num_train, num_test, size=16, noise=1.0, dim=32):
    """Return of both parts the images (n, size, size, 3) and embeddings (n, dim) of them and of EEG.

    Both are random projections of what the images show, that of the images through a bend, and that of EEG
    with noise.
    """
    corpus = SimulatedThings(num_concepts=num_train, images_per_concept=1, num_test_concepts=num_test)
    random, parts = np.random.default_rng(0), {}
    of_images, of_eeg = random.normal(size=(2, 8, dim))
    for part in ("train", "test"):
        drawn = corpus.images(part)
        images = np.stack([np.asarray(drawn.draw(row, size)) for row in range(len(drawn))])
        eeg = drawn.latents @ of_eeg + noise * random.normal(size=(len(drawn), dim))
        embeddings = np.tanh(drawn.latents @ of_images / 3)
        parts[part] = images, embeddings.astype(np.float32), eeg.astype(np.float32)
    return parts
