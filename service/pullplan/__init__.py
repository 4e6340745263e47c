"""pullplan: pull-based production planning for networks of many small local plants."""

from importlib.metadata import version

__version__ = version("pullplan")
