"""Object stores: named, immutable bytes, on a disk of ours or at an S3 service."""
