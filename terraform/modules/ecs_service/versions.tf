terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      # The full address, so that OpenTofu uses the same provider and the same mirror.
      source  = "registry.terraform.io/hashicorp/aws"
      version = "5.100.0"
    }
  }
}
