"""Reasons to believe a bundle: signatures, golden outputs checked on this device, a first load in a child process."""
