"""What the commands of a simulated host do: docker, mount, lsblk, systemctl and the others.

Each takes the host and its arguments and returns what it prints. An option that is not simulated is refused.
"""
