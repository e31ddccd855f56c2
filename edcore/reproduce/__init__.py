"""Published results, repeated beside back-propagation and direct feedback alignment: ``edcore reproduce``.

Start with `catalogue`: it names the reproductions, each of which returns an `Outcome`.
"""
