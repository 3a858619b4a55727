"""The one place that states the version of Syncline."""

__version__ = "0.1.0.dev0"
