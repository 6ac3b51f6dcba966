"""
Several processes that serve the same ports: one that binds them and looks after the
others, and the others, its workers, that serve.
"""
