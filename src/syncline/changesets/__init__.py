"""What a change is: instructions, paths, payloads, and the binary codec. Pure; compiled with mypyc where possible."""
