"""The revisions, oldest first. A revision is never edited once released."""
