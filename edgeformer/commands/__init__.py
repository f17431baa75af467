"""One command of the workstation a file: ``add`` puts it on the command line, its ``run`` does it.

What these files import at their top is imported for `edgeformer --help`, too: nothing heavy.
"""

COMMANDS = ("compile", "inspect", "verify", "sign", "report", "export_web", "sensitivity", "bench", "devices")
