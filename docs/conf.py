"""
How Sphinx builds these pages, and pydoctor the API pages among them.
"""

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
CHECKOUT = DOCS.parent

# For socks6.__version__, and for pydoctor to find external.py.
sys.path[:0] = [str(CHECKOUT), str(DOCS)]

from socks6 import __version__  # noqa: E402

project = "SOCKS 6 for Twisted"
author = "The SOCKS 6 authors"
copyright = "The SOCKS 6 authors"  # noqa: A001
version = release = __version__

extensions = ["optionsreference", "sphinx.ext.intersphinx", "pydoctor.sphinx_ext.build_apidocs"]
html_theme = "alabaster"
html_theme_options = {"description": "A SOCKS 6 proxy and client library"}
# A :py:class: that leads nowhere is a mistake in the page.
nitpicky = True
# pydoctor adds the inventory of our own API pages; nothing is fetched.
intersphinx_mapping: dict[str, object] = {}

# Every line that pydoctor prints becomes a warning of Sphinx, and Sphinx is
# run with --fail-on-warning.
pydoctor_args = [
    "--project-name=SOCKS 6",
    f"--project-version={release}",
    f"--project-base-dir={CHECKOUT}",
    "--docformat=epytext",
    "--system-class=external.CheckingSystem",
    "--html-output={outdir}/api",
    "--warnings-as-errors",
    str(CHECKOUT / "socks6"),
]
pydoctor_url_path = "api/"
