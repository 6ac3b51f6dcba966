"""
Fuzz targets: C{python -m tests.fuzz NAME --seconds N}, and see C{docs/testing.rst}.

A target is a function of octets that raises L{AssertionError}, or what nobody has
declared, if something is wrong.  None needs atheris; only the program does.
"""
