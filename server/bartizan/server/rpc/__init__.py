"""The doors: services of the contract, served as gRPC and as Connect from one class each."""
