"""Structured pruning: which heads and feed-forward channels to remove, how to cut them out, how to repair the rest.

importance/     how much each head and channel matters
costs, latency  what each costs: parameters, FLOPs, milliseconds
allocation      which ones go, so that a budget is met
surgery         the cut: smaller layers, no masks
reconstruct     least squares on calibration activations, block by block (blockwise)
"""
