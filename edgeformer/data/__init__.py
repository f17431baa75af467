"""Rows as arrays: ``encoding`` of texts, ``files`` of pictures and sounds, ``synthetic`` without any; ``splits`` says
which rows choose and which judge.
"""
