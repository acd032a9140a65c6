"""Every metric of Tidemill, one module for each kind of process. docs/metrics.md is written from it."""
