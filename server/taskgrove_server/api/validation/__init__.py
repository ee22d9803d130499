"""Holds requests to the limits that the protos' comments state. Bad input changes nothing."""
