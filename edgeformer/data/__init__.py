"""Rows as arrays: ``encoding`` of texts, ``encoding_…`` of files and of pictures with texts, ``synthetic`` without any;
``splits`` says which rows choose and which judge.
"""
