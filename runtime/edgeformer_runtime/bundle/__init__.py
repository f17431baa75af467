"""A bundle's files: ``bundle`` opens them, ``writer`` writes them; ``manifest`` holds the types of manifest.json and
``manifest_reader`` reads it; ``golden``, ``signing`` and ``zipped`` are named after what they read.
"""
