"""For tests of users' own code."""
