"""Files: written whole or not at all, locked by one process, and laid out as a container of arrays."""
