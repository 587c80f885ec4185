"""Inputs of API calls besides paths and settings: tables of other libraries, and histories."""
