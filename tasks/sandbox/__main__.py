"""The process of a `SandboxServer`. People use `reelsweep sandbox`."""

from reelsweep.tasks.sandbox.child import run_child

if __name__ == "__main__":
    run_child()
