"""What runs inside simulated hosts and containers: a path-mapping Python, a command client, small tools.

These files are copied to the state directory and run there alone; they import only the standard library.
"""
