"""Cordwood and the systems that it is measured beside: how each is started, loaded and stopped."""
