"""HTTP to clusters: TLS, credentials, retries, budgets. Knows nothing of any signal's protocol."""
