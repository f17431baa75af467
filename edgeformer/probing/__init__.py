"""Looking into a running model: what flows into its layers, and its blocks from one of them on."""
