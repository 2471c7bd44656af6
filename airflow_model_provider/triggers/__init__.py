"""What waits in the triggerer instead of a worker."""
