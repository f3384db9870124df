"""Exposure: how much of what may harm them those who judge are shown in a day."""
