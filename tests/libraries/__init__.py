"""The tests of libraries that consist of dicts, run with ShardMap in their place: plugin.py puts it there, in a process
of the library's own, runner.py starts that and reads what came out, listed.py says what must fail and why."""
