# SPDX-License-Identifier: Apache-2.0
"""Simulated images of shapes and colours, with embeddings of their content and of EEG."""

import numpy as np

from eeg_hf.corpora import SimulatedThings


def simulated_pairs(num_train, num_test, size=16, noise=1.0, dim=32):
    """Return for both parts images (n, size, size, 3), their embeddings (n, dim) and those of EEG (n, dim).

    Embeddings are random projections of the images' latents, through a tanh for images, with noise for EEG.
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
