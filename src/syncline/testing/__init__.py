"""Tools to test with, ours and our users': vector runner, transcript replays, real server and device processes."""
