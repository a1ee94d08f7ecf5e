"""Solvers: arrays in, arrays out; exact, closed form, every fold and penalty from shared factorisations.

- ``ridge``: nested cross-validation from a Gram matrix, or from features; one or many layers.
- ``fit``: ridge fitted on all stimuli, with the penalty chosen by leave-one-out or folds.
- ``banded``: several feature spaces with a penalty each; ``variance_partition``: what each space explains.
- ``pls``: partial least squares from a Gram matrix.

Behind them: ``folds`` (designs), ``missing`` and ``targets`` (what is predicted, in blocks), ``nested`` (the loop),
``routes`` (which way, by shape), ``elimination``, ``inverse``, ``primal`` and ``fold_weights`` (the ways),
``banded_search`` and ``nipals`` (what their names say), ``cholesky``, ``scoring``, ``choice``, ``threads``.
"""
