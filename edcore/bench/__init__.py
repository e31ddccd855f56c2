"""What ``edcore bench`` runs: backends, the article's algorithm and hand-written peers, timed in turns.

The command is its interface; the modules in here may change. ``import edcore`` imports nothing of it, and the process
that reports imports no array library but NumPy: each contender lives in a process of its own.
"""
