"""From a directory to a Model: ``load`` leads, ``checkpoint`` reads weights, ``text_model`` and ``file_model`` add
inputs and outputs; the ``…_check`` files refuse what would be computed wrongly.
"""
