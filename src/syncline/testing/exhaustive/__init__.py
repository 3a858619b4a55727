"""All short histories of two and three peers over a small domain, each tried with real files and a real server."""
