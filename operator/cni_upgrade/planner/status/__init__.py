"""What node records, policies and Events say."""
