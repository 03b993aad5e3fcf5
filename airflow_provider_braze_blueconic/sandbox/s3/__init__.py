"""The sandbox's S3: a store of moto's behind a gate that makes faults."""
