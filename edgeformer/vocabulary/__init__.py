"""Smaller vocabularies: one kind of tokenizer a file; ``VOCABULARIES`` in tokenizer_file lists them."""
