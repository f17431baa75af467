"""sentence-transformers: what its directories say beside the encoder, and the layers behind the encoder."""
