"""The artifact store: bytes under their digest, on any file system. It knows not what they mean."""
