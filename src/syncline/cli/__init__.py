"""The ``syncline`` command: one module per command, put together in ``main``."""
