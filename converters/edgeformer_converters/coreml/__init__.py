"""Core ML: ``export`` writes an .mlpackage, ``evaluator`` runs a saved one in numpy on any OS."""
