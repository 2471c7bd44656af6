"""Models that move between registries, in one file (R36)."""
