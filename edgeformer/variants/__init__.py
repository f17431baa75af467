"""Exported forms of a model: ``export`` makes them, ``verification`` runs them beside torch, ``gate`` judges them.

``search`` and ``refusal`` say what follows from that, ``golden`` writes what devices check, ``bundle_verification`` is
``edgeformer verify``.
"""
