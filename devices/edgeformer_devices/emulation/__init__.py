"""Boards that can be emulated here: their real programs and wheels under qemu-user, on any x86-64 Linux with apt.

What is emulated is a core's instruction set: results and crashes are those of the core, times are not.
"""

from .boards import BOARDS, Board, board
from .machine import Machine, default_cache, prepare

__all__ = ["BOARDS", "Board", "Machine", "board", "default_cache", "prepare"]
