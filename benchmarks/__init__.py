"""What the package costs beside the bare thing, measured side by side in one run."""
