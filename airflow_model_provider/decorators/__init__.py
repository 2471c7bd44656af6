"""``@pipeline`` and ``@step``."""
