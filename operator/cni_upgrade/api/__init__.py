"""Room api: the custom resources, as pydantic models from which the CRDs are generated."""
