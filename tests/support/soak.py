"""How much longer the long form is: ``scripts/soak`` sets ``SOAK``; otherwise once."""

import os

TIMES = int(os.environ.get("SOAK", "1"))
