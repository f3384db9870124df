"""Reruns: a new course of an old one, outline included."""
