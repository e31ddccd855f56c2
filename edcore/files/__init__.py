"""Bytes on disk: files written atomically, locks, checksums, and the container of arrays that edcore's files are."""
