"""Recovery fine-tuning: a compressed model learns from the uncompressed one, without labels where there are none."""
