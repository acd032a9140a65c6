#!/bin/sh
# Prints its payload.
cat
