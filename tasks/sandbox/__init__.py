"""The sandbox: the gateway that ships with Reelsweep, a real HTTP server on loopback that returns real MP4s.

It shares no code with the gateway reader: a shared model would let both be wrong together.
Start it with `server.SandboxServer` (a process of its own) or `server.serve` (blocking);
say how it behaves with `script.Script`; what it can do wrong is the table `faults.FAULTS`.
"""

SANDBOX_VERSION = "1"
"""Part of every clip: another version may draw another clip. Callers name the gateway `sandbox@<version>`."""
