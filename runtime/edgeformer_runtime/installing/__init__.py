"""Installing a bundle so that a kill or a power cut leaves the old one or the new one, never a mixture."""
