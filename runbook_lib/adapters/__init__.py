"""The only rooms with pipes: AWS, hosts, Terraform and the clock. They do what they are told and decide nothing."""
