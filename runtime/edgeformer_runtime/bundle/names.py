"""Files of a bundle that have a fixed name, and how large they may be."""

# For people, at the root, and not hashed: they hold times, which differ from run to run. Nothing here reads them.
REPORT_NAMES = ("report.html", "report.json")
MAX_REPORT_BYTES = 64 << 20
MANIFEST_NAME = "manifest.json"
SIGNATURE_NAME = "manifest.sig"  # beside it, not listed in it, and read only when a key is given
MAX_SIGNATURE_BYTES = 4096
