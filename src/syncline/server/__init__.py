"""The object server: an ASGI application that syncs Realms between clients.

``create_app(settings)`` in ``app.py`` makes the application, ``syncline serve`` runs it (``serve.py``).
Rests on ``protocol/`` for the conversation, ``merge/`` for what happens when changes meet, ``storage/`` for the state.
"""
