"""Turns the topic `status` alone into the metrics of `observe.catalogue.status` (decision 41)."""
