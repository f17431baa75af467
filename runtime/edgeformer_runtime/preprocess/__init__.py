"""Texts, pictures and sounds to arrays: ``registry`` has the kinds, ``…_decode`` reads files, ``…_rows`` makes rows."""
