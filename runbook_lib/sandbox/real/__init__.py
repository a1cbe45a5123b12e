"""Real hosts: namespaces, loop devices, a dockerd each. Needs Linux, root and Docker Engine.

Imported only when a sandbox is asked for real hosts; ``tier`` is the way in.
"""
