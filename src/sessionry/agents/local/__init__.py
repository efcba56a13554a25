"""A small model that runs in this very process: no key, no network, no download when it runs."""
