"""Localizers where bubbles crowd, on scenes that training never makes."""
