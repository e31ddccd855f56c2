"""The benchmark ``edcore bench``: backends, the article's algorithm and hand-written networks, timed in turns.

The command is its interface; these modules may change. ``import edcore`` loads none of them, and the process that
reports loads no array library but NumPy: each contender runs in its own process.
"""
