"""CPython's own tests of dict, run with ShardMap in dict's place: loader.py changes their source, listed.py
says which of them cannot or should not pass, runner.py runs one."""
