"""Device profiles: the boards that edgeformer compiles for, and what each declares of itself."""

from .profile import load, load_all, names

__all__ = ["load", "load_all", "names"]
