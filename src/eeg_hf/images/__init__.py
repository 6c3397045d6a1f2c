# SPDX-License-Identifier: Apache-2.0
"""Images that subjects saw, from files to reconstructions.

Files: `image_folder`. Embeddings of images: `vision_towers` computes them, `image_embeddings` stores them.
Training on pairs: `eeg_image_collator`. Reconstruction from EEG: `image_reconstructor`, made of
`embedding_prior` (EEG to image embedding) and `image_decoder` or `image_diffusion` (embedding to image).
"""
