"""The version of the package: that of the narrow binary that it holds."""

__version__ = "0.0.0.dev0"
