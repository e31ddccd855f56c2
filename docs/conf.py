"""Sphinx: pages in Markdown (MyST), the reference from the docstrings (numpydoc). It builds with no network."""

import re
import sys
from pathlib import Path

import edcore

sys.path.insert(0, str(Path(__file__).parent))  # for search.py, pages.py
from search import SearchEnglishAndJapanese

project = "edcore"
author = "The edcore developers"
copyright = "The edcore developers"
version = release = edcore.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx-mathjax-offline",
    "pages",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
default_role = "py:obj"
nitpicky = False  # types such as "array, shape (batch, in_)" are prose, not links

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "dollarmath"]
nb_execution_mode = "off"  # pages.py runs the notebooks
nb_merge_streams = True
mathjax_path = "mathjax/tex-chtml.js"  # a copy in the site, so that formulas need no network

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_typehints = "none"  # the docstrings name the types
add_module_names = False
toc_object_entries_show_parents = "hide"

numpydoc_show_class_members = False  # autodoc lists them
numpydoc_validation_checks = {
    "all",  # of numpydoc's checks, but for:
    "ES01",  # a summary that says it all needs no extended one
    "EX01",  # a property, an error or a method of the contract needs no example of its own
    "SA01",  # the pages link what belongs together
    "GL01",  # a summary starts beside the opening quotes
    "GL08",  # special methods and __init__ are described by their class
    "PR01",  # a one-line docstring names its arguments in its sentence
    "RT01",  # and what it returns
    "YD01",  # a context manager yields nothing to speak of
    "PR04",  # "name, summary: as in `BackendInfo`" has its types there
    "PR08",  # a description may start with a formula, such as "target − output",
    "RT04",  # or with a name, such as "x of shape (samples, 64)"
}
numpydoc_validation_exclude = {
    r"\.(API_VERSION|NAMES|PRESETS)$",  # numpydoc reads the docstring of int, tuple or dict
    r"\.testing\.checks\.",  # a check's docstring states the promise, not what the function does
}
numpydoc_validation_overrides = {"PR03": [r"As in `BackendInfo`\."]}  # described together, so in another order

html_theme = "furo"
html_title = f"edcore {release}"
html_static_path = ["_static"]
html_css_files = ["tables.css", "site.css"]
html_favicon = "_static/favicon.svg"
html_search_language = SearchEnglishAndJapanese.lang
html_copy_source = False
html_show_sourcelink = False

copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_selector = (
    "div.highlight-python pre, div.highlight-shell pre, div.highlight-sh pre, div.highlight-toml pre, div.doctest pre"
)


def skip_member(app, what, name, member, skip, options):
    """Leave out what Python itself writes into a NamedTuple."""
    return True if str(member.__doc__).startswith("Alias for field number") else None


def escape_in_(app, what, name, member, options, lines):
    """Keep reST from reading the argument in_ as a link."""
    lines[:] = [re.sub(r"\bin_(?=[\s,)])", r"in\\_", line) for line in lines]


def setup(app):
    app.add_search_language(SearchEnglishAndJapanese)
    app.connect("autodoc-process-docstring", escape_in_, priority=600)  # after numpydoc's 500
    app.connect("autodoc-skip-member", skip_member)
