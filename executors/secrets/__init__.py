"""Secrets: where an executor finds them, which tenant may use which, and how their values are masked."""
