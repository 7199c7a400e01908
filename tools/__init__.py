"""Set-up and task tooling of the project; `python3 -m tools help` lists the tasks."""
