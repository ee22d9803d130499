"""The generated wire types of taskgrove.v1."""
